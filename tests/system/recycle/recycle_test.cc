// Workers that have done enough are replaced one after the other, and nobody notices.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

TEST(Recycle, ByConnectionsUnderLoadNoConnectionFailsAndNoClientMoves) {
  SupervisorPlan plan;
  plan.workers = 3;
  plan.options = {"--recycle-connections", "300"};
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(300), 16, std::nullopt, "/", kPatience});
  std::size_t most_successors = 0;
  const StatusView after = supervisor.wait_until(
      "every slot has another worker",
      [&](const StatusView& status) {
        const auto starts = std::count_if(status.slots.begin(), status.slots.end(), [](const SlotView& slot) {
          return std::any_of(slot.others.begin(), slot.others.end(),
                             [](const WorkerView& other) { return other.state == "starting"; });
        });
        most_successors = std::max(most_successors, static_cast<std::size_t>(starts));
        bool all = status.slots.size() == 3;
        for (unsigned i = 0; i < status.slots.size(); i++) all = all && status.slot(i).pid != before.slot(i).pid;
        return all && status.all_serving();
      },
      std::chrono::seconds(60));
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0u) << report.summary();
  EXPECT_TRUE(report.moved().empty()) << report.moved().size() << " clients moved";
  EXPECT_LE(most_successors, 1u) << "slots were recycled together";
  EXPECT_GE(after.restarts(), 3u);
  EXPECT_NE(supervisor.errors().find("(recycle-connections)"), std::string::npos) << supervisor.errors();
  EXPECT_TRUE(supervisor.wait_until_settled().balanced());
}

TEST(Recycle, ByAge) {
  SupervisorPlan plan;
  plan.workers = 2;
  plan.options = {"--recycle-age", "3s"};
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  supervisor.wait_until("both are replaced", [&](const StatusView& status) {
    return status.all_serving() && status.slot(0).pid != before.slot(0).pid && status.slot(1).pid != before.slot(1).pid;
  });
  EXPECT_NE(supervisor.errors().find("(recycle-age)"), std::string::npos) << supervisor.errors();
}

// A shell whose child holds the memory: the group counts. Only the first worker does.
TEST(Recycle, ByTheMemoryOfTheWholeGroup) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.options = {"--recycle-memory", "48M", "--recycle-memory-time", "1s", "--recycle-jitter", "0"};
  plan.command = {"/bin/sh", "-c",
                  "if [ ! -e {dir}/once ]; then : >{dir}/once; "
                  "(x=$(head -c 67108864 /dev/zero | tr '\\0' x); echo grown; sleep 1000; echo) & fi; exec " +
                      whoami_program()};
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  supervisor.wait_until(
      "it is replaced",
      [&](const StatusView& status) { return status.all_serving() && status.slot(0).pid != before.slot(0).pid; },
      std::chrono::seconds(60));
  EXPECT_NE(supervisor.errors().find("(recycle-memory)"), std::string::npos) << supervisor.errors();
}

TEST(Recycle, WithoutALimitNobodyIsReplaced) {
  const Supervisor supervisor;
  const StatusView before = supervisor.wait_until_serving();
  const StatusView after = supervisor.wait_until(
      "five seconds have passed", [&](const StatusView& status) { return status.uptime > before.uptime + 5; });
  EXPECT_EQ(after.pids(), before.pids());
}

}  // namespace
}  // namespace holdfast::test
