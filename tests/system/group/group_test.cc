// Workers that are started in order, that belong together, and what is cleaned up between them.
#include <gmock/gmock.h>
#include <signal.h>

#include <filesystem>
#include <sstream>

#include "support/supervisor.h"

namespace holdfast::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Group : public testing::Test {
 protected:
  // Workers that write down when they start, and clean-ups that do so too. `before`: what a worker does first.
  [[nodiscard]] SupervisorPlan plan(const std::string& lines, const std::string& before = "true",
                                    const std::string& clean_up = "true") const {
    write_text(file_, "[listeners.main]\naddress = \"127.0.0.1:0\"\n[pools.web]\nintake = \"sdk\"\nworkers = 3\n" +
                          lines + "\ncommand = [\"/bin/sh\", \"-c\", \"echo start {slot} >> " + log_ + "; " + before +
                          "; exec " + whoami_program() +
                          "\"]\nclean-up = [\"/bin/sh\", \"-c\", \"echo clean {slot} >> " + log_ + "; " + clean_up +
                          "\"]\n");
    return plan_of_file(file_);
  }
  [[nodiscard]] std::vector<std::string> log() const {
    std::istringstream text(text_of(log_));
    std::vector<std::string> lines;
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
  }
  [[nodiscard]] static bool is_new(const StatusView& before, const StatusView& now) {
    for (unsigned slot = 0; slot < 3; slot++) {
      if (now.slot(slot).pid == 0 || now.slot(slot).pid == before.slot(slot).pid) return false;
    }
    return now.all_serving();
  }

  TempDirectory directory_;
  std::string file_ = directory_ / "web.toml";
  std::string log_ = directory_ / "log";
  std::string go_ = directory_ / "go";
};

TEST_F(Group, InOrderEachWaitsForThoseBelow) {
  const Supervisor supervisor(
      plan("start-order = \"one-by-one\"", "while [ {slot} = 1 -a ! -e " + go_ + " ]; do sleep 0.02; done"),
      &directory_);
  supervisor.wait_until("the first serves and the second is starting", [this](const StatusView& status) {
    return status.slot(0).state == "serving" && log().size() == 2;
  });
  EXPECT_EQ(supervisor.status().slot(2).pid, 0) << "it waits for the second";
  write_text(go_, "");
  supervisor.wait_until_serving();
  EXPECT_THAT(log(), ElementsAre("start 0", "start 1", "start 2"));
}

TEST_F(Group, WhoseOneWorkerDiesIsStartedAnewInOrderAfterOneCleanUp) {
  const Supervisor supervisor(plan("restart-group = \"all\""), &directory_);
  const StatusView before = supervisor.wait_until_serving();
  send_signal(before.slot(1).pid, SIGKILL);
  const StatusView after =
      supervisor.wait_until("all are new", [&](const StatusView& now) { return is_new(before, now); });
  EXPECT_THAT(log(), ElementsAre("start 0", "start 1", "start 2", "clean 0", "start 0", "start 1", "start 2"));
  ASSERT_TRUE(get_once(supervisor.target(), "/"));

  const Ran ran = supervisor.tell("restart", {"--wait", "2"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  supervisor.wait_until("all are new once more", [&](const StatusView& now) { return is_new(after, now); });
  EXPECT_EQ(log().size(), 11U);
  EXPECT_TRUE(eventually([&] { return children_of(supervisor.pid()).size() == 3; }));
}

TEST_F(Group, WhoseCleanUpFailsTellsWhoWaitsForItsRestart) {
  const Supervisor supervisor(plan("restart-group = \"all\"", "true", "echo no such device; exit 3"), &directory_);
  supervisor.wait_until_serving();
  const Ran ran = supervisor.tell("restart", {"--wait"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.errors, HasSubstr("the clean-up of slot 0 exited with code 3"));
  EXPECT_THAT(ran.errors, HasSubstr("no such device"));
}

TEST_F(Group, WhoseCleanUpCannotBeStartedTellsIt) {
  const SupervisorPlan as_planned = plan("restart-group = \"all\"");
  const std::string tool = directory_ / "tool";
  std::string text = text_of(file_);
  const std::size_t at = text.find("clean-up = ");
  text.replace(at, std::string::npos, "clean-up = [\"" + tool + "\"]\n");
  write_text(file_, text);
  const Supervisor supervisor(as_planned, &directory_);
  supervisor.wait_until_serving();
  const Ran ran = supervisor.tell("restart", {"--wait"});
  EXPECT_EQ(ran.exit_code, 1);
  EXPECT_THAT(ran.errors, HasSubstr("the clean-up of slot 0 was not started: "));
  EXPECT_THAT(ran.errors, HasSubstr(tool));
}

TEST_F(Group, AWorkerOfNoneComesBackAloneAfterItsOwnCleanUp) {
  const Supervisor supervisor(plan(""), &directory_);
  const StatusView before = supervisor.wait_until_serving();
  send_signal(before.slot(1).pid, SIGKILL);
  const StatusView after = supervisor.wait_until(
      "it is back", [&](const StatusView& now) { return now.all_serving() && now.slot(1).pid != before.slot(1).pid; });
  EXPECT_EQ(after.slot(0).pid, before.slot(0).pid);
  EXPECT_EQ(log()[3], "clean 1");
  EXPECT_EQ(log()[4], "start 1");
}

TEST_F(Group, ACleanUpThatFailsOrHangsIsAFailedStart) {
  const Supervisor supervisor(
      plan(
          "clean-up-timeout = \"300ms\"\nrestart-delay-step = \"20ms\"\nrestart-delay-max = \"200ms\"\nstart-limit = 0",
          "true", "echo what a mess; test -e " + go_ + ".fails && exit 3; test -e " + go_ + " || sleep 3600"),
      &directory_);
  const StatusView before = supervisor.wait_until_serving();
  write_text(go_ + ".fails", "");
  send_signal(before.slot(0).pid, SIGKILL);
  supervisor.wait_until("the failure is told", [](const StatusView& status) {
    return status.slot(0).last_exit == "its clean-up exited with code 3";
  });
  EXPECT_THAT(supervisor.errors(), HasSubstr("what a mess"));
  std::filesystem::remove(go_ + ".fails");
  supervisor.wait_until("the time limit is told", [](const StatusView& status) {
    return status.slot(0).last_exit == "its clean-up killed by signal 9 (SIGKILL)";
  });
  write_text(go_, "");
  const StatusView after = supervisor.wait_until_serving();
  EXPECT_NE(after.slot(0).pid, before.slot(0).pid);
  EXPECT_EQ(after.slot(1).pid, before.slot(1).pid);
}

TEST_F(Group, TheSupervisorStopsDuringACleanUp) {
  Supervisor supervisor(plan("", "true", "sleep 3600"), &directory_);
  send_signal(supervisor.wait_until_serving().slot(0).pid, SIGKILL);
  ASSERT_TRUE(eventually([this] { return log().size() == 4; }));
  supervisor.signal(SIGTERM);
  EXPECT_EQ(supervisor.wait_for_exit(), 0);
}

}  // namespace
}  // namespace holdfast::test
