// Clients of the control socket that stall or talk nonsense, and what the commands say.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>

#include "support/supervisor.h"

namespace holdfast::test {
namespace {

TEST(Control, TheSocketIsForItsOwnerAlone) {
  const Supervisor supervisor;
  supervisor.wait_until_serving();
  struct stat file {};
  ASSERT_EQ(::stat(supervisor.control().c_str(), &file), 0);
  EXPECT_EQ(file.st_mode & 0777, 0600u);
}

TEST(Control, GarbageAndSilenceHarmNobody) {
  const Supervisor supervisor;
  const Endpoint target = supervisor.target();
  supervisor.wait_until_serving();
  const Endpoint control = endpoint("unix:" + supervisor.control());
  std::vector<HttpClient> strangers;  // that they speak HTTP is garbage enough for a start
  std::mt19937 random(4711);          // NOLINT(cert-msc51-cpp): the same garbage each time
  for (int i = 0; i < 20; ++i) {
    strangers.emplace_back(control);
    if (!strangers.back().connected()) continue;
    std::string garbage(static_cast<std::size_t>(random() % 3000), '\0');
    std::generate(garbage.begin(), garbage.end(), [&] { return static_cast<char>(random()); });
    if (i % 4 == 0) strangers.back().send("/");
    if (i % 4 == 1) strangers.back().send_raw(garbage + "\n");
    if (i % 4 == 2) strangers.back().send_raw(std::string(3000, '[') + "\n{\"v\":1,\"verb\":\"stop\"}\n");
  }
  EXPECT_TRUE(supervisor.status().answered());
  EXPECT_TRUE(get_once(target, "/"));
  for (int i = 0; i < 20; i += 4) {
    EXPECT_TRUE(strangers[static_cast<std::size_t>(i)].closed_by_peer()) << "a client that talks nonsense is kept";
  }
  EXPECT_TRUE(strangers[3].closed_by_peer()) << "a client that says nothing is kept for ever";
  EXPECT_EQ(supervisor.status().restarts(), 0u);
}

TEST(Control, MoreStalledClientsThanThereIsRoomForDoNotLockTheOwnerOut) {
  const Supervisor supervisor;
  supervisor.wait_until_serving();
  std::vector<HttpClient> stalled;
  for (int i = 0; i < 60; ++i) stalled.emplace_back(endpoint("unix:" + supervisor.control()));
  EXPECT_TRUE(eventually([&] { return supervisor.status().answered(); })) << "nobody can ask while strangers stall";
}

TEST(Control, StatusTellsTheMemoryOfWorkersToWhomAsksForIt) {
  SupervisorPlan plan;
  plan.command = {"/bin/sh", "-c", whoami_program() + " & wait"};  // it is the worker's child that serves
  plan.options = {"--intake", "sdk"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  const auto resident = [](const std::string& json) {
    return nlohmann::json::parse(json)["pools"][0]["slots"][0]["resident_bytes"];
  };
  const Ran asked = supervisor.tell("status", {"--json"});
  EXPECT_GT(resident(asked.output).get<std::uint64_t>(), 1U << 20) << asked.output;
  EXPECT_NE(supervisor.tell("status").output.find(" MEM "), std::string::npos);
  EXPECT_TRUE(resident(supervisor.status().json).is_null()) << "nobody has asked";
}

TEST(Control, ClientsThatWaitForARestartDoNotLockTheOwnerOut) {
  SupervisorPlan plan;
  plan.options = {"--canary", "1h"};  // no restart ends
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  std::vector<HttpClient> waiting;
  for (int i = 0; i < 32; ++i) {
    waiting.emplace_back(endpoint("unix:" + supervisor.control()));
    waiting.back().send_raw("{\"v\":1,\"verb\":\"restart\",\"arguments\":{\"wait\":true}}\n");
  }
  ASSERT_TRUE(supervisor.status().answered());  // who came first was heard first: all of them wait
  const Ran refused = supervisor.tell("stop", {"--wait"});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_NE(refused.errors.find("without --wait"), std::string::npos) << refused.errors;
  EXPECT_TRUE(supervisor.running());
  EXPECT_EQ(supervisor.tell("status").exit_code, 0);
  EXPECT_EQ(supervisor.tell("restart").exit_code, 0);
  EXPECT_EQ(supervisor.tell("stop").exit_code, 0) << "it can be stopped all the same";
  EXPECT_EQ(supervisor.wait_for_exit(), 0);
}

TEST(Control, StatusIsATableForPeopleAndJsonForPrograms) {
  const Supervisor supervisor;
  const StatusView view = supervisor.wait_until_serving();
  const Ran table = supervisor.tell("status");
  EXPECT_EQ(table.exit_code, 0) << table.errors;
  EXPECT_NE(table.output.find(supervisor.address()), std::string::npos) << table.output;
  EXPECT_NE(table.output.find(std::to_string(view.slot(1).pid)), std::string::npos) << table.output;
  EXPECT_EQ(table.output.find('\x1b'), std::string::npos) << "colours belong on terminals";
  std::istringstream lines(table.output);
  for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << line;

  const Ran json = supervisor.tell("status", {"--json"});
  const StatusView parsed = view_of(json.output);
  EXPECT_EQ(parsed.pid, supervisor.pid());
  EXPECT_EQ(parsed.pids(), view.pids());
  EXPECT_GT(parsed.uptime, 0);
  EXPECT_EQ(parsed.slot(0).buckets + parsed.slot(1).buckets, 512u);
}

TEST(Control, RouteExplainsWhereAnAddressGoes) {
  const Supervisor supervisor;
  supervisor.wait_until_serving();
  const Ran text = supervisor.tell("route", {"2001:db8::7"});
  EXPECT_EQ(text.exit_code, 0) << text.errors;
  EXPECT_NE(text.output.find("slot"), std::string::npos) << text.output;
  EXPECT_EQ(supervisor.route("2001:db8::7"), supervisor.route("2001:db8::ffff")) << "one /64 is one client";
  EXPECT_EQ(supervisor.route("192.0.2.1"), supervisor.route("::ffff:192.0.2.1"));
  const Ran nonsense = supervisor.tell("route", {"nonsense"});
  EXPECT_NE(nonsense.exit_code, 0);
  EXPECT_NE(nonsense.errors.find("nonsense"), std::string::npos) << nonsense.errors;
}

TEST(Control, AnotherUserIsTurnedAway) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become another user";
  const Supervisor supervisor;
  supervisor.wait_until_serving();
  ASSERT_EQ(::chmod(supervisor.directory().path().c_str(), 0755), 0);
  ASSERT_EQ(::chmod(supervisor.control().c_str(), 0666), 0);  // so that only the credentials stand in the way
  const Ran ran = run({"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--", holdfast_program(),
                       "status", "--control", supervisor.control()});
  if (ran.exit_code == 127 || ran.errors.find("failed to execute") != std::string::npos)
    GTEST_SKIP() << "another user cannot reach the program here: " << ran.errors;
  EXPECT_EQ(ran.exit_code, 77) << ran.output << ran.errors;
}

}  // namespace
}  // namespace holdfast::test
