// No descriptors left, in the supervisor or in a worker: clients wait, none is lost, nobody spins.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>

#include <algorithm>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

// Changes the soft limit of another process's descriptors.
void set_open_file_limit(pid_t pid, rlim_t soft) {
  rlimit limit{};
  ASSERT_EQ(::prlimit(pid, RLIMIT_NOFILE, nullptr, &limit), 0);
  limit.rlim_cur = std::min(soft, limit.rlim_max);
  ASSERT_EQ(::prlimit(pid, RLIMIT_NOFILE, &limit, nullptr), 0);
}

// The lowest number that is free: with the limit there, no descriptor can be had.
rlim_t lowest_free(pid_t pid) {
  const std::vector<int> used = descriptors_of(pid);
  int free = 0;
  while (std::binary_search(used.begin(), used.end(), free)) ++free;
  return static_cast<rlim_t>(free);
}

TEST(FdExhaustion, ASupervisorWithoutDescriptorsPausesQuietlyAndLosesNobody) {
  const Supervisor supervisor;
  const Endpoint target = supervisor.target();
  supervisor.wait_until_serving();
  ASSERT_TRUE(get_once(target, "/"));
  supervisor.wait_until_settled();
  supervisor.wait_until_nobody_asks();
  set_open_file_limit(supervisor.pid(), lowest_free(supervisor.pid()));

  constexpr std::size_t kClients = 150;
  std::vector<HttpClient> clients;
  for (const std::string& source : ipv4_sources(kClients)) {
    clients.emplace_back(target, source);
    ASSERT_TRUE(clients.back().connected());
    clients.back().send("/", "close");
  }
  supervisor.wait_until_told("no file descriptor is free");
  const Duration before = cpu_time_of(supervisor.pid());
  let_pass(1s);
  EXPECT_LT(cpu_time_of(supervisor.pid()) - before, 50ms * kSlowness) << "it spins while it cannot accept";
  EXPECT_FALSE(clients[0].receive(0s)) << "the limit did not bite, this test tests nothing";

  set_open_file_limit(supervisor.pid(), RLIM_INFINITY);
  for (HttpClient& client : clients) ASSERT_TRUE(client.receive()) << name_of(client.ending());
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(status.accepted, kClients + 1);
  EXPECT_EQ(status.handed, kClients + 1);
  EXPECT_FALSE(status.listeners[0].paused);
}

// Clients who have every descriptor and want more must not cost a slot its worker.
TEST(FdExhaustion, ASupervisorWithoutDescriptorsStillReplacesItsWorkers) {
  SupervisorPlan plan;
  // Between the end of a worker and the next start clients could take what it leaves.
  plan.options = {"--restart-delay", "30ms", "--restart-delay-step", "30ms", "--start-limit", "0"};
  const Supervisor supervisor(plan);
  const Endpoint target = supervisor.target();
  StatusView status = supervisor.wait_until_serving();
  supervisor.wait_until_nobody_asks();
  for (const pid_t worker : status.pids()) send_signal(worker, SIGSTOP);
  set_open_file_limit(supervisor.pid(), lowest_free(supervisor.pid()));
  std::vector<HttpClient> clients;
  for (const std::string& source : ipv4_sources(100)) {
    clients.emplace_back(target, source);
    clients.back().send("/", "close");
  }
  supervisor.wait_until_told("no file descriptor is free");

  for (std::uint64_t round = 1; round <= 5; ++round) {
    for (const pid_t worker : status.pids()) send_signal(worker, SIGKILL);
    status = supervisor.wait_until("both workers were replaced", [&](const StatusView& now) {
      return now.all_serving() && now.slot(0).restarts == round && now.slot(1).restarts == round;
    });
  }
  const Ran restart = supervisor.tell("restart", {"1", "--wait"});
  EXPECT_EQ(restart.exit_code, 0) << restart.errors;
  EXPECT_EQ(supervisor.errors().find("cannot start a worker"), std::string::npos) << supervisor.errors();

  set_open_file_limit(supervisor.pid(), RLIM_INFINITY);
  EXPECT_TRUE(get_once(target, "/"));
  const StatusView settled = supervisor.wait_until_settled();  // some were with a worker when it was killed
  EXPECT_EQ(settled.accepted, clients.size() + 1);
  EXPECT_EQ(settled.refused_in_all(), 0u);
}

TEST(FdExhaustion, ASupervisorWithAFewDescriptorsServesABurstInSmallSteps) {
  const Supervisor supervisor;
  const Endpoint target = supervisor.target();
  supervisor.wait_until_serving();
  supervisor.wait_until_nobody_asks();
  set_open_file_limit(supervisor.pid(), lowest_free(supervisor.pid()) + 5);
  const LoadReport report =
      LoadLoop(LoadPlan{target, ipv4_sources(200), 100, 2000 / kSlowness, "/", kPatience}).finish();
  EXPECT_EQ(report.failed(), 0u) << report.summary();
  set_open_file_limit(supervisor.pid(), RLIM_INFINITY);
  EXPECT_EQ(supervisor.wait_until_settled().handed, report.connections());
}

TEST(FdExhaustion, AHardLimitThatIsLowFromTheStartIsLivedWith) {
  SupervisorPlan plan;
  plan.open_files = 128;
  const Supervisor supervisor(plan);
  const Endpoint target = supervisor.target();
  supervisor.wait_until_serving();
  const LoadReport report =
      LoadLoop(LoadPlan{target, ipv4_sources(200), 64, 1000 / kSlowness, "/", kPatience}).finish();
  EXPECT_EQ(report.failed(), 0u) << report.summary();
  EXPECT_EQ(supervisor.wait_until_settled().handed, report.connections());
}

TEST(FdExhaustion, AWorkerNearItsLimitLeavesTheRestWaitingAndLosesNobody) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.options = {"--heartbeat-timeout", "2s"};  // so that the beats, too, must go on
  plan.command = {"/bin/sh", "-c", "ulimit -n 160; exec " + whoami_program()};
  const Supervisor supervisor(plan);
  const Endpoint target = supervisor.target();
  const pid_t worker = supervisor.wait_until_serving().slot(0).pid;

  constexpr std::size_t kClients = 200;
  std::vector<HttpClient> clients;
  for (const std::string& source : ipv4_sources(kClients)) clients.emplace_back(target, source);
  supervisor.wait_until("all are accepted", [](const StatusView& status) { return status.accepted == kClients; });
  const StatusView full = supervisor.wait_until("the worker has taken what it can", [&](const StatusView& status) {
    return status.handed > 0 && status.handed == status.slot(0).open;
  });
  EXPECT_GT(full.waiting, 0u) << "the limit did not bite, this test tests nothing";

  const Duration before = cpu_time_of(worker) + cpu_time_of(supervisor.pid());
  let_pass(1s);
  EXPECT_LT(cpu_time_of(worker) + cpu_time_of(supervisor.pid()) - before, 100ms * kSlowness) << "somebody spins";

  for (HttpClient& client : clients) {
    client.send("/", "close");
    ASSERT_TRUE(client.receive()) << name_of(client.ending());
    client.close();
  }
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(status.handed, kClients);
  EXPECT_EQ(status.slot(0).lost, 0u);
  EXPECT_EQ(status.slot(0).pid, worker);
}

}  // namespace
}  // namespace holdfast::test
