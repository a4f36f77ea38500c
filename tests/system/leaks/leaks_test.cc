// A thousand restarts cost the supervisor neither descriptors nor memory.
#include <gtest/gtest.h>
#include <signal.h>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

constexpr unsigned kWorkers = 8;

// The supervisor's descriptors, without those of control clients that come and go.
std::size_t lasting_descriptors(const Supervisor& supervisor) {
  supervisor.wait_until_nobody_asks();
  return open_files_of(supervisor.pid());
}

// Kills every worker and waits until every slot has a new one; again, until there were `restarts` more.
void restart_by_killing(const Supervisor& supervisor, std::uint64_t restarts) {
  const std::uint64_t goal = supervisor.wait_until_serving().restarts() + restarts;
  for (;;) {
    const StatusView before = supervisor.wait_until_serving();
    if (before.restarts() >= goal || testing::Test::HasFailure()) return;
    for (const pid_t pid : before.pids()) send_signal(pid, SIGKILL);
    supervisor.wait_until("every slot has a new worker", [&](const StatusView& status) {
      if (!status.all_serving()) return false;
      for (unsigned i = 0; i < kWorkers; ++i) {
        if (status.slot(i).pid == before.slot(i).pid) return false;
      }
      return true;
    });
  }
}

TEST(Leaks, AThousandRestartsLeaveDescriptorsAndMemoryFlat) {
  SupervisorPlan plan;
  plan.workers = kWorkers;
  plan.options = {"--restart-delay", "0", "--restart-delay-step", "0",    "--restart-delay-max", "0",
                  "--start-limit",   "0", "--log-level",          "error"};
  const Supervisor supervisor(plan);
  const Endpoint target = supervisor.target();
  constexpr std::uint64_t kRestarts = 1000 / kSlowness;
  restart_by_killing(supervisor, kRestarts / 10);  // what is allocated once is there now
  const std::size_t descriptors = lasting_descriptors(supervisor);
  const std::uint64_t memory = anonymous_memory_of(supervisor.pid());

  restart_by_killing(supervisor, kRestarts);
  EXPECT_EQ(lasting_descriptors(supervisor), descriptors);
  if (kSlowness == 1) {                           // sanitizers keep freed memory for a while
    constexpr std::uint64_t kNoise = 192 * 1024;  // fragmentation; 1,000 times a leak of 200 bytes would be more
    EXPECT_LT(anonymous_memory_of(supervisor.pid()), memory + kNoise);
  }
  EXPECT_EQ(children_of(supervisor.pid()).size(), kWorkers) << "zombies";
  EXPECT_TRUE(get_once(target, "/"));
}

TEST(Leaks, ManyConnectionsLeaveDescriptorsFlat) {
  const Supervisor supervisor;
  const Endpoint target = supervisor.target();
  supervisor.wait_until_serving();
  (void)LoadLoop(LoadPlan{target, ipv4_sources(300), 64, 500, "/", kPatience}).finish();
  supervisor.wait_until_settled();
  const std::size_t descriptors = lasting_descriptors(supervisor);
  const LoadReport report =
      LoadLoop(LoadPlan{target, ipv4_sources(300), 64, 10000 / kSlowness, "/", kPatience}).finish();
  EXPECT_EQ(report.failed(), 0u) << report.summary();
  supervisor.wait_until_settled();
  EXPECT_EQ(lasting_descriptors(supervisor), descriptors);
  EXPECT_TRUE(eventually([&] { return supervisor.status().slot(0).open + supervisor.status().slot(1).open == 0; }))
      << "workers think that connections are open which are not\n"
      << supervisor.status().json;
}

TEST(Leaks, ManyControlClientsLeaveDescriptorsFlat) {
  const Supervisor supervisor;
  supervisor.wait_until_serving();
  const std::size_t descriptors = lasting_descriptors(supervisor);
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(supervisor.status().answered());
  EXPECT_EQ(lasting_descriptors(supervisor), descriptors);
}

}  // namespace
}  // namespace holdfast::test
