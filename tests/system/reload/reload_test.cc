// A configuration that changes under load: what may be live is, workers roll where they must, and a bad one changes nothing.
#include <gmock/gmock.h>
#include <signal.h>

#include <future>
#include <nlohmann/json.hpp>
#include <tuple>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;

class Reload : public testing::Test {
 protected:
  Reload() { write("workers = 3"); }

  void write(const std::string& lines, const std::string& command = whoami_program()) {
    write_text(file_,
               "[listeners.main]\naddress = \"127.0.0.1:0\"\n[pools.web]\ncommand = [\"/bin/sh\", \"-c\", \"exec " +
                   command + "\"]\n" + lines + "\n");
  }
  [[nodiscard]] SupervisorPlan plan() const { return plan_of_file(file_); }
  [[nodiscard]] static Ran reload(const Supervisor& supervisor) { return supervisor.tell("reload", {"--wait"}); }

  TempDirectory directory_;
  std::string file_ = directory_ / "web.toml";
};

TEST_F(Reload, WhatMayBeLiveReplacesNobody) {
  const Supervisor supervisor(plan(), &directory_);
  const StatusView before = supervisor.wait_until_serving();
  write("workers = 4\ndrain-timeout = \"7s\"");
  const Ran ran = reload(supervisor);
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_THAT(ran.output, HasSubstr("pools.web.drain-timeout: \"30s\" -> \"7s\""));
  const StatusView after = supervisor.wait_until_serving();
  ASSERT_EQ(after.slots.size(), 4U);
  for (unsigned slot = 0; slot < 3; slot++) EXPECT_EQ(after.slot(slot).pid, before.slot(slot).pid);
}

TEST_F(Reload, UnderLoadRollsTheWorkersAndFailsNobody) {
  const Supervisor supervisor(plan(), &directory_);
  StatusView before = supervisor.wait_until_serving();
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(200), 16, std::nullopt, "/", kPatience});
  ASSERT_TRUE(eventually([&] { return load.answered() > 100; }));
  for (int round = 1; round <= 5; round++) {
    write("workers = 3\nenvironment = { ROUND = \"" + std::to_string(round) + "\" }");
    const Ran ran = reload(supervisor);
    ASSERT_EQ(ran.exit_code, 0) << ran.errors;
    const StatusView after = supervisor.status();
    for (unsigned slot = 0; slot < 3; slot++) {
      EXPECT_NE(after.slot(slot).pid, before.slot(slot).pid) << "round " << round;
      EXPECT_GT(after.slot(slot).generation, before.slot(slot).generation);
    }
    before = after;
  }
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  EXPECT_TRUE(report.moved().empty()) << report.moved().size() << " clients moved";
}

TEST_F(Reload, OfAFileWithMistakesChangesNothingAndNamesThemAll) {
  const Supervisor supervisor(plan(), &directory_);
  const StatusView before = supervisor.wait_until_serving();
  write("wokers = 3\nsurge = \"many\"");
  const Ran ran = reload(supervisor);
  EXPECT_EQ(ran.exit_code, 78);
  EXPECT_THAT(ran.errors, HasSubstr("nothing was changed"));
  EXPECT_THAT(ran.errors, HasSubstr("web.toml:5:1: unknown key wokers"));
  EXPECT_THAT(ran.errors, HasSubstr("web.toml:6:"));
  const StatusView after = supervisor.status();
  EXPECT_EQ(after.pids(), before.pids());
  EXPECT_EQ(nlohmann::json::parse(after.json)["reload_failed"], true);
}

TEST_F(Reload, WhoseNewWorkersFailIsRolledBackUnderLoad) {
  const Supervisor supervisor(plan(), &directory_);
  supervisor.wait_until_serving();
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(100), 8, std::nullopt, "/", kPatience});
  ASSERT_TRUE(eventually([&] { return load.answered() > 50; }));
  write("workers = 3", "sh -c 'echo out of luck; exit 3'");
  const Ran ran = reload(supervisor);
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.errors, HasSubstr("rolled back"));
  EXPECT_THAT(ran.errors, HasSubstr("exited with code 3"));
  EXPECT_THAT(ran.errors, HasSubstr("out of luck"));
  write("workers = 3");
  EXPECT_EQ(reload(supervisor).exit_code, 0) << "what was rolled back does not count as loaded";
  supervisor.wait_until("everybody is of one generation again", [](const StatusView& status) {
    return status.all_serving() && status.slot(0).generation == status.slot(1).generation &&
           status.slot(1).generation == status.slot(2).generation;
  });
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
}

TEST_F(Reload, WhatFailsInOneSlotIsTriedInNoOther) {
  const Supervisor supervisor(plan(), &directory_);
  const StatusView before = supervisor.wait_until_serving();
  write("workers = 3\nstart-order = \"together\"", "sh -c '[ {slot} = 0 ] && exit 3; exec " + whoami_program() + "'");
  const Ran ran = reload(supervisor);
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.errors, HasSubstr("the workers of before serve on: "));
  EXPECT_EQ(reload(supervisor).exit_code, 1) << "so all that the first one began has ended";
  EXPECT_EQ(supervisor.status().pids(), before.pids());
  EXPECT_THAT(supervisor.errors(), testing::Not(testing::ContainsRegex("web/[12]: started pid [0-9]+ as successor")));
}

TEST_F(Reload, TellsTheLastTwentyLinesOfAWorkerThatFailed) {
  const Supervisor supervisor(plan(), &directory_);
  supervisor.wait_until_serving();
  write("workers = 3", "sh -c 'seq 101 130; exit 3'");
  const Ran ran = reload(supervisor);
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.errors, HasSubstr("| 111\n"));
  EXPECT_THAT(ran.errors, HasSubstr("| 130"));
  EXPECT_THAT(ran.errors, testing::Not(HasSubstr("| 110\n")));
}

TEST_F(Reload, OfWorkersThatBelongTogetherIsRolledBackByStartingThemAgain) {
  const std::string together = "workers = 3\nrestart-group = \"all\"";
  write(together);
  const Supervisor supervisor(plan(), &directory_);
  supervisor.wait_until_serving();
  write(together, "sh -c 'exit 3'");
  const Ran ran = reload(supervisor);
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.errors, HasSubstr("the workers are started again as before: "));
  supervisor.wait_until_serving();
}

// The successor is ready, and so nothing but its canary stands between it and the clients.
struct Fate {
  const char* name;
  int signal;  // to the successor
  const char* reason;
};
class CanaryRollback : public Reload, public testing::WithParamInterface<std::tuple<const char*, Fate>> {};
INSTANTIATE_TEST_SUITE_P(Successors, CanaryRollback,
                         testing::Combine(testing::Values("pass", "steer"),
                                          testing::Values(Fate{"Dies", SIGKILL, "killed by signal 9"},
                                                          Fate{"Hangs", SIGSTOP, "gave no heartbeat"})),
                         [](const auto& one) {
                           return std::get<0>(one.param) + std::string(std::get<1>(one.param).name);
                         });

TEST_P(CanaryRollback, ASuccessorThatFailsWithinItsCanaryNeverTakesTheSlot) {
  const auto& [plane, fate] = GetParam();
  const std::string lines = "workers = 3\nintake = \"sdk\"\nplane = \"" + std::string(plane) +
                            "\"\ncanary = \"1h\"\nheartbeat-timeout = \"10s\"\nkill-timeout = \"1s\"\n";
  write(lines);
  const Supervisor supervisor(plan(), &directory_);
  const StatusView before = supervisor.wait_until_serving();
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(100), 8, std::nullopt, "/", kPatience});
  ASSERT_TRUE(eventually([&] { return load.answered() > 50; }));
  write(lines + "environment = { ROUND = \"1\" }", "sh -c 'echo my last words; exec " + whoami_program() + "'");
  std::future<Ran> reloading = std::async(std::launch::async, [&] { return reload(supervisor); });
  const StatusView in_canary =
      supervisor.wait_until("there is a successor that is ready", [](const StatusView& status) {
        return status.slot(0).others.size() == 1 && status.slot(0).others[0].state == "serving";
      });
  const std::uint64_t answered = load.answered();
  EXPECT_TRUE(eventually([&] { return load.answered() > answered + 50; }));
  send_signal(in_canary.slot(0).others[0].pid, fate.signal);
  const Ran ran = reloading.get();
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.errors, HasSubstr("rolled back"));
  EXPECT_THAT(ran.errors, HasSubstr("the successor in slot 0 failed"));
  EXPECT_THAT(ran.errors, HasSubstr(fate.reason));
  EXPECT_THAT(ran.errors, HasSubstr("my last words"));
  const StatusView after = supervisor.wait_until_serving();
  EXPECT_EQ(after.pids(), before.pids());
  EXPECT_EQ(nlohmann::json::parse(after.json)["reload_failed"], true);
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  EXPECT_TRUE(report.moved().empty());
  EXPECT_FALSE(report.answered_by.contains(in_canary.slot(0).others[0].pid)) << "it served nobody";
}

TEST_F(Reload, WhatNeedsANewStartIsToldAndTheRestApplied) {
  const Supervisor supervisor(plan(), &directory_);
  const StatusView before = supervisor.wait_until_serving();
  write("workers = 2\nintake = \"capture\"");
  const Ran ran = reload(supervisor);
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_THAT(ran.output, HasSubstr("not applied: pools.web.intake"));
  supervisor.wait_until("one slot has left", [](const StatusView& status) { return status.slots.size() == 2; });
  EXPECT_EQ(supervisor.status().slot(0).pid, before.slot(0).pid);
}

TEST_F(Reload, BySignalIsTheSame) {
  const Supervisor supervisor(plan(), &directory_);
  supervisor.wait_until_serving();
  write("workers = 1");
  send_signal(supervisor.pid(), SIGHUP);
  supervisor.wait_until("two slots have left", [](const StatusView& status) { return status.slots.size() == 1; });
}

TEST(ReloadWithoutAFile, HasNothingToRead) {
  const Supervisor supervisor;
  supervisor.wait_until_serving();
  const Ran ran = supervisor.tell("reload");
  EXPECT_EQ(ran.exit_code, 78);
  EXPECT_THAT(ran.errors, HasSubstr("runs without a configuration file"));
}

}  // namespace
}  // namespace holdfast::test
