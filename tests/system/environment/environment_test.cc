// What a worker finds: its own variables, descriptors and streams, and nothing that was meant for the supervisor alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "support/supervisor.h"

namespace holdfast::test {
namespace {

class Environment : public testing::Test {
 protected:
  // The worker writes down what it finds, then serves.
  [[nodiscard]] static SupervisorPlan curious() {
    SupervisorPlan plan;
    plan.workers = 1;
    plan.command = {"/bin/sh", "-c",
                    "env >{dir}/env.tmp; pwd >{dir}/pwd; ulimit -Sn >{dir}/files; mv {dir}/env.tmp {dir}/env; exec " +
                        whoami_program()};
    return plan;
  }
  [[nodiscard]] static std::map<std::string, std::string> variables(const Supervisor& supervisor) {
    std::map<std::string, std::string> found;
    std::istringstream lines(text_of(supervisor.directory() / "env"));
    for (std::string line; std::getline(lines, line);) {
      const std::size_t equals = line.find('=');
      if (equals != std::string::npos) found[line.substr(0, equals)] = line.substr(equals + 1);
    }
    return found;
  }
};

TEST_F(Environment, WhatSystemdToldTheSupervisorNeverReachesAWorker) {
  SupervisorPlan plan = curious();
  plan.environment = {"LISTEN_FDS=1",   "LISTEN_PID=1",          "LISTEN_FDNAMES=web", "NOTIFY_SOCKET={dir}/n",
                      "WATCHDOG_PID=1", "WATCHDOG_USEC=1000000", "MAINPID=1",          "KEPT=by everybody's leave"};
  plan.options = {"--intake", "sdk"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  const std::map<std::string, std::string> found = variables(supervisor);
  for (const char* name : {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "WATCHDOG_PID"}) {
    EXPECT_FALSE(found.contains(name)) << name << " leaks into the worker";
  }
  // These every worker has, but from us.
  EXPECT_TRUE(found.at("NOTIFY_SOCKET").starts_with("@")) << found.at("NOTIFY_SOCKET");
  EXPECT_EQ(found.at("WATCHDOG_USEC"), "30000000");
  ASSERT_TRUE(found.contains("KEPT"));
  EXPECT_EQ(found.at("KEPT"), "by everybody's leave");
}

TEST_F(Environment, AWorkerLearnsWhoItIs) {
  SupervisorPlan plan = curious();
  plan.options = {"--pool", "kitchen"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  std::map<std::string, std::string> found = variables(supervisor);
  EXPECT_EQ(found["HOLDFAST_SLOT"], "0");
  EXPECT_EQ(found["HOLDFAST_SLOTS"], "1");
  EXPECT_EQ(found["HOLDFAST_POOL"], "kitchen");
  EXPECT_FALSE(found["HOLDFAST_CHANNEL"].empty());
  EXPECT_FALSE(found["HOLDFAST_PAGE"].empty());
  EXPECT_NE(found["HOLDFAST_LISTENERS"].find("127.0.0.1:"), std::string::npos) << found["HOLDFAST_LISTENERS"];
}

TEST_F(Environment, AnOptionComesFromItsVariableUnlessTheCommandLineHasIt) {
  SupervisorPlan plan = curious();
  plan.environment = {"HOLDFAST_POOL=pantry", "HOLDFAST_HEARTBEAT_TIMEOUT=7s"};
  const Supervisor by_variable(plan);
  by_variable.wait_until_serving();
  EXPECT_EQ(variables(by_variable)["HOLDFAST_POOL"], "pantry");
  EXPECT_EQ(variables(by_variable)["HOLDFAST_HEARTBEAT"], "7000");
  plan.options = {"--pool", "kitchen"};
  const Supervisor by_option(plan);
  by_option.wait_until_serving();
  EXPECT_EQ(variables(by_option)["HOLDFAST_POOL"], "kitchen");
  EXPECT_EQ(variables(by_option)["HOLDFAST_HEARTBEAT"], "7000");
}

TEST_F(Environment, ASupervisorInsideAWorkerDoesNotConfuseTheInnerWorkers) {
  SupervisorPlan plan = curious();
  plan.environment = {"HOLDFAST_SLOT=41", "HOLDFAST_CHANNEL=97", "HOLDFAST_PAGE=98", "HOLDFAST_SLOTS=77",
                      "HOLDFAST_GENERATION=9"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  std::map<std::string, std::string> found = variables(supervisor);
  EXPECT_EQ(found["HOLDFAST_SLOT"], "0");
  EXPECT_EQ(found["HOLDFAST_SLOTS"], "1");
  EXPECT_TRUE(get_once(supervisor.target(), "/"));
}

TEST_F(Environment, AWorkerInheritsItsOwnDescriptorsAndNoOther) {
  SupervisorPlan plan;
  plan.workers = 3;
  plan.options = {"--intake", "sdk"};
  plan.command = {"/bin/sh", "-c",
                  "ls /proc/$$/fd >{dir}/fds$HOLDFAST_SLOT; env >{dir}/env$HOLDFAST_SLOT; exec " + whoami_program()};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  for (const char* slot : {"0", "1", "2"}) {
    std::set<std::string> expected = {"0", "1", "2"};
    std::istringstream lines(text_of(supervisor.directory() / (std::string("env") + slot)));
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with("HOLDFAST_CHANNEL=")) expected.insert(line.substr(17));
      if (line.starts_with("HOLDFAST_BUS=")) expected.insert(line.substr(13));
      if (line.starts_with("HOLDFAST_PAGE=")) expected.insert(line.substr(14));
    }
    std::set<std::string> found;
    std::istringstream numbers(text_of(supervisor.directory() / (std::string("fds") + slot)));
    for (std::string number; numbers >> number;) found.insert(number);
    found.erase("10");  // where some shells keep a copy of a redirected stream
    EXPECT_EQ(found, expected) << "slot " << slot;
  }
}

TEST_F(Environment, UnderAutoAWorkerIsOfferedChannelAndSocketsAtOnce) {
  SupervisorPlan plan = curious();
  plan.listen = {"web=127.0.0.1:0", "127.0.0.1:0"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  std::map<std::string, std::string> found = variables(supervisor);
  EXPECT_EQ(found["LISTEN_FDS"], "2");
  EXPECT_EQ(found["LISTEN_FDNAMES"], "web:main-2");
  EXPECT_EQ(found["LISTEN_PID"], std::to_string(supervisor.status().slot(0).pid));
  EXPECT_EQ(found["HOLDFAST_CHANNEL"], "5");
  EXPECT_EQ(found["HOLDFAST_PAGE"], "6");
}

TEST_F(Environment, TheWorkingDirectoryIsTheChosenOne) {
  const TempDirectory directory;
  std::filesystem::create_directory(directory / "home");
  SupervisorPlan plan = curious();
  plan.options = {"--working-directory", "{dir}/home"};
  const Supervisor supervisor(plan, &directory);
  supervisor.wait_until_serving();
  EXPECT_EQ(text_of(directory / "pwd"), (directory / "home") + "\n");
}

TEST_F(Environment, AnOptionMayComeFromTheEnvironment) {
  SupervisorPlan plan = curious();
  plan.environment = {"HOLDFAST_POOL=kitchen", "HOLDFAST_HASH_KEY=00112233445566ff"};
  const Supervisor by_environment(plan);
  plan.environment.clear();
  plan.options = {"--hash-key", "00112233445566ff"};
  const Supervisor by_option(plan);
  by_environment.wait_until_serving();
  by_option.wait_until_serving();
  EXPECT_EQ(by_environment.bucket("192.0.2.7"), by_option.bucket("192.0.2.7"));
}

TEST_F(Environment, WhatAWorkerPrintsComesWithItsSlotAndPid) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.command = {"/bin/sh", "-c", "echo to output; echo to errors >&2; exec " + whoami_program()};
  const Supervisor supervisor(plan);
  const pid_t worker = supervisor.wait_until_serving().slot(0).pid;
  const std::string prefix = "[main/0 " + std::to_string(worker) + "] ";
  EXPECT_TRUE(eventually([&] { return supervisor.output().find(prefix + "to output\n") != std::string::npos; }))
      << supervisor.output();
  supervisor.wait_until_told(prefix + "to errors\n");
}

TEST_F(Environment, AFloodOfOutputHoldsUpNobody) {
  SupervisorPlan plan;
  plan.command = {"/bin/sh", "-c", "(yes flood 2>/dev/null | head -c 2000000) & exec " + whoami_program()};
  const Supervisor supervisor(plan);
  const Endpoint target = supervisor.target();
  supervisor.wait_until_serving();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(get_once(target, "/"));
}

}  // namespace
}  // namespace holdfast::test
