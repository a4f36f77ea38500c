// Fifty workers are replaced under load, in each of the ways to get connections: nobody fails, nobody meets another slot.
#include <gtest/gtest.h>

#include "support/load_loop.h"
#include "support/supervisor.h"
#include "system/steered/ways.h"

namespace holdfast::test {
namespace {

constexpr unsigned kWorkers = 5;
constexpr unsigned kRounds = kSlowness == 1 ? 10 : 2;

class FiftyRestarts : public testing::TestWithParam<Way> {};
INSTANTIATE_TEST_SUITE_P(Workers, FiftyRestarts, testing::Values(captured_plain(), inherited_plain(), by_sdk()),
                         name_of_way);

TEST_P(FiftyRestarts, UnderLoadFailNobodyAndMoveNobody) {
  SupervisorPlan plan = plan_of(GetParam());
  plan.workers = kWorkers;
  // All slots at once: each takes its two sockets in turn all the same, and whoever leaves keeps his for a second.
  plan.options.insert(plan.options.end(), {"--surge", "5", "--hold-timeout", "5m"});
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(300), 12, std::nullopt, "/", kPatience});
  for (unsigned round = 0; round < kRounds; round++) {
    const std::uint64_t answered = load.answered();
    ASSERT_TRUE(eventually([&] { return load.answered() > answered + 50; }));
    const Ran ran = supervisor.tell("restart", {"--wait"});
    ASSERT_EQ(ran.exit_code, 0) << ran.output << ran.errors;
  }
  const std::uint64_t answered = load.answered();
  EXPECT_TRUE(eventually([&] { return load.answered() > answered + 300; }));
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  EXPECT_TRUE(report.moved().empty()) << report.moved().size() << " clients moved";
  const StatusView after = supervisor.status();
  EXPECT_EQ(after.restarts(), before.restarts() + kRounds * kWorkers);
  for (unsigned slot = 0; slot < kWorkers; slot++) EXPECT_NE(after.slot(slot).pid, before.slot(slot).pid);
  EXPECT_TRUE(eventually([&] { return children_of(supervisor.pid()).size() == kWorkers; })) << "old workers stay";
}

}  // namespace
}  // namespace holdfast::test
