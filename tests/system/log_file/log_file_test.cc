// The log in a file, as logrotate treats it: renamed, then USR1.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdio>

#include "support/supervisor.h"

namespace holdfast::test {
namespace {

SupervisorPlan logging_plan(const TempDirectory& directory) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.options = {"--log-file", directory / "log"};
  plan.command = {"/bin/sh", "-c", "echo said to output; echo said to errors >&2; exec " + whoami_program()};
  return plan;
}

TEST(LogFile, HasTheLogAndTheOutputOfTheWorkers) {
  const TempDirectory directory;
  const Supervisor supervisor(logging_plan(directory), &directory);
  supervisor.wait_until_serving();
  EXPECT_TRUE(eventually([&] {
    const std::string text = text_of(directory / "log");
    return text.find("is ready") != std::string::npos && text.find("said to output\n") != std::string::npos &&
           text.find("said to errors\n") != std::string::npos;
  })) << text_of(directory / "log");
  EXPECT_EQ(supervisor.errors() + supervisor.output(), "");
}

TEST(LogFile, IsOpenedAnewAtUsr1) {
  const TempDirectory directory;
  const Supervisor supervisor(logging_plan(directory), &directory);
  const pid_t worker = supervisor.wait_until_serving().slot(0).pid;
  ASSERT_EQ(std::rename((directory / "log").c_str(), (directory / "log.1").c_str()), 0);
  supervisor.signal(SIGUSR1);
  EXPECT_TRUE(eventually([&] { return text_of(directory / "log").find("anew") != std::string::npos; }));
  EXPECT_EQ(supervisor.tell("restart", {"--wait"}).exit_code, 0);
  EXPECT_TRUE(eventually([&] { return text_of(directory / "log").find("takes over") != std::string::npos; }));
  EXPECT_EQ(text_of(directory / "log.1").find("takes over"), std::string::npos);
  EXPECT_NE(text_of(directory / "log.1").find("started pid " + std::to_string(worker)), std::string::npos);
}

TEST(LogFile, WhereItCannotBeOpenedAnewTheOldOneGoesOnAndSaysSo) {
  const TempDirectory directory;
  const Supervisor supervisor(logging_plan(directory), &directory);
  supervisor.wait_until_serving();
  ASSERT_EQ(std::rename((directory / "log").c_str(), (directory / "log.1").c_str()), 0);
  ASSERT_EQ(::mkdir((directory / "log").c_str(), 0700), 0);
  supervisor.signal(SIGUSR1);
  EXPECT_TRUE(eventually([&] {
    return text_of(directory / "log.1").find("goes on to the file of before") != std::string::npos;
  })) << text_of(directory / "log.1");
}

TEST(LogFile, OneThatCannotBeOpenedIsAFailureOfTheStart) {
  const TempDirectory directory;
  SupervisorPlan plan = logging_plan(directory);
  plan.options.back() = directory / "nowhere/log";
  const Supervisor supervisor(plan, &directory);
  EXPECT_EQ(supervisor.wait_for_exit(), 1);
  EXPECT_NE(supervisor.errors().find("open the log file"), std::string::npos) << supervisor.errors();
}

}  // namespace
}  // namespace holdfast::test
