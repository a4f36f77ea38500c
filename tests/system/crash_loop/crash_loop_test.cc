// A worker that always fails: its restarts slow down, then its slot rests and is probed, and the others serve its
// clients.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <sstream>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

// Serves, unless {dir}/broken exists and it is slot 1; notes each start of slot 1 with its time.
constexpr const char* kFragile = R"(#!/bin/sh
if [ "$HOLDFAST_SLOT" = 1 ]; then
  date +%s%N >>"$1/starts"
  if [ -e "$1/broken" ]; then
    echo "cannot read my data" >&2
    exit 7
  fi
fi
exec "$2"
)";

std::vector<double> starts(const TempDirectory& directory) {
  std::vector<double> seconds;
  std::istringstream lines(text_of(directory / "starts"));
  for (double nanoseconds = 0; lines >> nanoseconds;) seconds.push_back(nanoseconds / 1e9);
  return seconds;
}

class CrashLoop : public testing::Test {
 protected:
  CrashLoop() { write_script(directory_ / "fragile", kFragile); }

  [[nodiscard]] SupervisorPlan plan(std::vector<std::string> options) const {
    SupervisorPlan plan;
    plan.command = {"{dir}/fragile", "{dir}", whoami_program()};
    plan.options = std::move(options);
    return plan;
  }
  void break_slot_1(const Supervisor& supervisor) const {
    write_text(directory_ / "broken", "");
    send_signal(supervisor.status().slot(1).pid, SIGKILL);
  }
  void mend_slot_1() const { fs::remove(directory_ / "broken"); }

  TempDirectory directory_;
};

TEST_F(CrashLoop, TheSlotBacksOffThenRestsThenIsProbedThenRecoversWhileTheOtherServesItsClients) {
  const Supervisor supervisor(plan({"--restart-delay", "0", "--restart-delay-step", "100ms", "--start-limit", "5",
                                    "--start-limit-interval", "60s", "--rest", "700ms", "--hold-timeout", "200ms"}),
                              &directory_);
  const Endpoint target = supervisor.target();
  const StatusView healthy = supervisor.wait_until_serving();
  ASSERT_GT(healthy.slot(1).buckets, 0u);
  break_slot_1(supervisor);

  const StatusView backing_off = supervisor.wait_until(
      "slot 1 backs off", [](const StatusView& status) { return status.slot(1).state == "backoff"; });
  EXPECT_TRUE(backing_off.slot(1).next_start);
  const StatusView resting =
      supervisor.wait_until("slot 1 rests", [](const StatusView& status) { return status.slot(1).state == "resting"; });
  EXPECT_NE(resting.slot(1).last_exit.find("exited with code 7"), std::string::npos) << resting.slot(1).last_exit;

  // 1: healthy. 2: at once after the kill. Then after 100, 200 and 400 ms, each give or take a fifth, and the time of a
  // start.
  const std::vector<double> times = starts(directory_);
  ASSERT_GE(times.size(), 5u);
  EXPECT_GE(times[2] - times[1], 0.08);
  EXPECT_GE(times[3] - times[2], 0.16);
  EXPECT_GE(times[4] - times[3], 0.32);

  // The other slot serves everyone, and it is still itself.
  supervisor.wait_until("slot 1 has lent its buckets",
                        [](const StatusView& status) { return status.slot(1).buckets == 0; });
  const LoadReport lent = LoadLoop(LoadPlan{target, ipv4_sources(100), 16, 200, "/", kPatience}).finish();
  EXPECT_EQ(lent.failed(), 0u) << lent.summary();
  for (const auto& [source, slots] : lent.slots) EXPECT_EQ(slots, std::set<int>{0}) << source;
  EXPECT_EQ(supervisor.status().slot(0).pid, healthy.slot(0).pid);

  // Half-open: one probe after each rest.
  const std::size_t before_probe = starts(directory_).size();
  EXPECT_TRUE(eventually([&] { return starts(directory_).size() > before_probe; })) << "a resting slot is never probed";
  mend_slot_1();
  const StatusView recovered = supervisor.wait_until_serving();
  EXPECT_EQ(recovered.slot(1).buckets, healthy.slot(1).buckets);
  const LoadReport returned = LoadLoop(LoadPlan{target, ipv4_sources(100), 16, 200, "/", kPatience}).finish();
  EXPECT_EQ(returned.failed(), 0u) << returned.summary();
  EXPECT_EQ(returned.answered_by.size(), 2u) << "the clients of slot 1 did not come back";
  EXPECT_NE(supervisor.errors().find("cannot read my data"), std::string::npos)
      << "the worker's last words are not told";
}

TEST_F(CrashLoop, TheLogCountsAsPeopleDo) {
  SupervisorPlan alone = plan({"--restart-delay", "10ms"});
  alone.workers = 1;
  const Supervisor supervisor(alone, &directory_);
  send_signal(supervisor.wait_until_serving().slot(0).pid, SIGKILL);
  supervisor.wait_until_told("1 failure in a row, restarting at once");
  supervisor.wait_until_told(": 1 worker, control socket");
}

TEST_F(CrashLoop, AnOperatorsRestartDoesNotWaitForTheRest) {
  const Supervisor supervisor(plan({"--restart-delay-step", "10ms", "--start-limit", "3", "--rest", "1h"}),
                              &directory_);
  supervisor.wait_until_serving();
  break_slot_1(supervisor);
  supervisor.wait_until("slot 1 rests", [](const StatusView& status) { return status.slot(1).state == "resting"; });
  mend_slot_1();
  const Ran ran = supervisor.tell("restart", {"1", "--wait"});
  EXPECT_EQ(ran.exit_code, 0) << ran.output << ran.errors;
  EXPECT_TRUE(supervisor.status().all_serving()) << supervisor.status().json;
}

TEST_F(CrashLoop, AnExitCodeThatSaysSoStopsTheSlot) {
  SupervisorPlan stubborn = plan({"--no-restart-codes", "7"});
  const Supervisor supervisor(stubborn, &directory_);
  supervisor.wait_until_serving();
  break_slot_1(supervisor);
  const StatusView stopped = supervisor.wait_until(
      "slot 1 is stopped", [](const StatusView& status) { return status.slot(1).state == "stopped"; });
  EXPECT_EQ(stopped.slot(1).pid, 0);
  EXPECT_EQ(starts(directory_).size(), 2u);
}

TEST_F(CrashLoop, AClientThatWaitsForACrashedSlotIsServedByAnotherAfterTheHoldTimeout) {
  const Supervisor supervisor(plan({"--restart-delay", "1h", "--restart-delay-step", "1h", "--restart-delay-max", "1h",
                                    "--hold-timeout", "300ms"}),
                              &directory_);
  const Endpoint target = supervisor.target();
  supervisor.wait_until_serving();
  break_slot_1(supervisor);
  supervisor.wait_until("slot 1 backs off", [](const StatusView& status) { return status.slot(1).state == "backoff"; });
  const LoadReport report = LoadLoop(LoadPlan{target, ipv4_sources(100), 100, 100, "/", kPatience}).finish();
  EXPECT_EQ(report.failed(), 0u) << report.summary();
  EXPECT_EQ(report.answered_by.size(), 1u);
  EXPECT_EQ(supervisor.wait_until_settled().accepted, 100u);
}

}  // namespace
}  // namespace holdfast::test
