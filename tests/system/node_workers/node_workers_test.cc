// Node.js programs that know nothing of Holdfast, behind the real supervisor.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;

std::vector<std::string> node(const std::string& script, const std::vector<std::string>& arguments = {}) {
  std::vector<std::string> command{"node", source_file("tests/interop/node/workers/" + script)};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return command;
}

SupervisorPlan plan_of(std::vector<std::string> command, std::vector<std::string> options = {}, unsigned workers = 2) {
  SupervisorPlan plan;
  plan.workers = workers;
  plan.options = std::move(options);
  plan.command = std::move(command);
  return plan;
}

// By a worker.
void wait_until_written(const Supervisor& supervisor, const std::string& text) {
  EXPECT_TRUE(eventually([&] { return supervisor.output().find(text) != std::string::npos; }))
      << "no worker wrote '" << text << "'\n"
      << supervisor.output() << supervisor.errors();
}

class NodeServed : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("node --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "there is no node here";
  }
};

TEST_F(NodeServed, AClusterProgramNeedsNoOptionAndItsClientsKeepTheirWorker) {
  const Supervisor supervisor(plan_of(node("http.js", {"3000"})));
  const StatusView status = supervisor.wait_until_serving();
  EXPECT_THAT(status.json, HasSubstr(R"("intake": "node")"));
  EXPECT_THAT(status.json, HasSubstr(R"("plane": "pass")"));
  for (int round = 0; round < 2; round++) {
    for (const std::string& source : ipv4_sources(20)) {
      const std::optional<Response> response = get_once(supervisor.target(), "/", source);
      ASSERT_TRUE(response) << supervisor.errors();
      EXPECT_EQ(response->slot, supervisor.route(source));
      EXPECT_THAT(response->body, HasSubstr("\"remote\":\"" + source + "\""));
    }
  }
  EXPECT_EQ(supervisor.wait_until_settled().handed, 40u);
}

TEST_F(NodeServed, ItIsReplacedUnderLoadWithoutASignalHandlerAndNobodyNotices) {
  const Supervisor supervisor(plan_of(node("http.js", {"3000"})));
  supervisor.wait_until_serving();
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(100), 8, std::nullopt, "/", kPatience});
  ASSERT_TRUE(eventually([&] { return load.answered() > 50; }));
  for (int restart = 0; restart < 3; restart++) {
    const Ran ran = supervisor.tell("restart", {"--wait"});
    ASSERT_EQ(ran.exit_code, 0) << ran.errors << supervisor.errors();
  }
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0u) << report.summary() << supervisor.errors();
  EXPECT_TRUE(report.moved().empty());
  EXPECT_GE(report.answered_by.size(), 4u) << "the new ones have served too";
  const StatusView settled = supervisor.wait_until_settled();
  EXPECT_EQ(settled.accepted, report.connections());
  EXPECT_EQ(settled.handed, report.connections());
  EXPECT_TRUE(eventually([&] { return children_of(supervisor.pid()).size() == 2; })) << "the old workers stay";
}

TEST_F(NodeServed, WhatADeadWorkerHadNotTakenUpIsServedByTheNext) {
  const Supervisor supervisor(plan_of(node("http.js", {"3000"}), {"--heartbeat-timeout", "0"}, 1));
  const pid_t first = supervisor.wait_until_serving().slot(0).pid;
  send_signal(first, SIGSTOP);
  ASSERT_TRUE(eventually([&] { return process_state(first) == "T"; }));
  std::vector<HttpClient> clients;
  for (const std::string& source : ipv4_sources(30)) {
    clients.emplace_back(supervisor.target(), source);
    clients.back().send("/", "close");
  }
  supervisor.wait_until("all wait", [](const StatusView& status) { return status.waiting == 30; });
  send_signal(first, SIGKILL);
  for (HttpClient& client : clients) {
    const std::optional<Response> response = client.receive();
    ASSERT_TRUE(response) << name_of(client.ending()) << supervisor.errors();
    EXPECT_NE(response->pid, first);
  }
  EXPECT_EQ(supervisor.wait_until_settled().handed, 30u);
}

TEST_F(NodeServed, WhatAnOldWorkerHadNotTakenUpIsServedByItsSuccessor) {
  const Supervisor supervisor(plan_of(
      node("http.js", {"3000"}), {"--heartbeat-timeout", "0", "--drain-timeout", "1s", "--kill-timeout", "1s"}, 1));
  const pid_t first = supervisor.wait_until_serving().slot(0).pid;
  send_signal(first, SIGSTOP);
  ASSERT_TRUE(eventually([&] { return process_state(first) == "T"; }));
  std::vector<HttpClient> clients;
  for (const std::string& source : ipv4_sources(30)) {
    clients.emplace_back(supervisor.target(), source);
    clients.back().send("/", "close");
  }
  supervisor.wait_until("all wait", [](const StatusView& status) { return status.waiting == 30; });
  EXPECT_EQ(supervisor.tell("restart", {"--wait"}).exit_code, 0);
  for (HttpClient& client : clients) {
    const std::optional<Response> response = client.receive();
    ASSERT_TRUE(response) << name_of(client.ending()) << supervisor.errors();
    EXPECT_NE(response->pid, first);
  }
  EXPECT_EQ(supervisor.wait_until_settled().handed, 30u);
}

TEST_F(NodeServed, OneThatHangsIsReplaced) {
  const Supervisor supervisor(
      plan_of(node("http.js", {"3000"}), {"--heartbeat-timeout", "2s", "--kill-timeout", "100ms"}, 1));
  const pid_t first = supervisor.wait_until_serving().slot(0).pid;
  HttpClient blocking(supervisor.target());
  blocking.send("/block");
  EXPECT_TRUE(blocking.receive());
  HttpClient waiting(supervisor.target());
  waiting.send("/", "close");
  const std::optional<Response> response = waiting.receive();
  ASSERT_TRUE(response) << supervisor.errors();
  EXPECT_NE(response->pid, first);
  EXPECT_THAT(supervisor.errors(), HasSubstr("--heartbeat-timeout"));
}

TEST_F(NodeServed, OneThatDisconnectsByItselfIsReplaced) {
  const Supervisor supervisor(plan_of(node("http.js", {"3000"}), {}, 1));
  const pid_t first = supervisor.wait_until_serving().slot(0).pid;
  HttpClient open(supervisor.target());
  ASSERT_TRUE(open.get("/disconnect"));
  supervisor.wait_until("another serves",
                        [&](const StatusView& status) { return status.all_serving() && status.slot(0).pid != first; });
  EXPECT_TRUE(get_once(supervisor.target(), "/"));
}

TEST_F(NodeServed, OneThatBreaksTheChannelIsReplacedAndCounted) {
  const TempDirectory directory;
  write_text(directory / "bad.js",
             "const fs = require('fs'); const path = __dirname + '/once';\n"
             "require('http').createServer((q, r) => r.end('x')).listen(3000, () => {\n"
             "  if (!fs.existsSync(path)) { fs.writeFileSync(path, ''); fs.writeSync(3, 'no JSON\\n'); }\n"
             "});\n");
  const Supervisor supervisor(plan_of({"node", directory / "bad.js"}, {}, 1));
  supervisor.wait_until_told("broke the channel protocol");
  EXPECT_THAT(supervisor.wait_until_serving().json, HasSubstr(R"("protocol_errors": 1)"));
}

TEST_F(NodeServed, AForkedChildIsGivenConnectionsByMessage) {
  const Supervisor supervisor(plan_of(node("child.js"), {"--node-dialect", "plain"}));
  supervisor.wait_until_serving();
  const std::optional<Response> response = get_once(supervisor.target(), "/");
  ASSERT_TRUE(response) << supervisor.errors();
  EXPECT_THAT(response->body, HasSubstr(R"("message":"connection")"));
}

TEST_F(NodeServed, AClientOfSocketIoKeepsItsSessionWhereverItComesFrom) {
  if (!std::filesystem::exists(source_file("tests/interop/node/node_modules/.installed"))) {
    GTEST_SKIP() << "tests/interop/node/install has not been run";
  }
  const Supervisor supervisor(
      plan_of(node("socketio.js"), {"--node-dialect", "socket.io", "--node-sticky-by", "session"}));
  supervisor.wait_until_serving();
  for (const std::string& source : ipv4_sources(8)) {
    const std::string path = "/socket.io/?EIO=4&transport=polling";
    const std::optional<Response> opened = get_once(supervisor.target(), path, source);
    ASSERT_TRUE(opened) << supervisor.errors();
    const std::size_t sid = opened->body.find("\"sid\":\"") + 7;
    ASSERT_NE(sid, std::string::npos + 7) << opened->body;
    const std::string session = path + "&sid=" + opened->body.substr(sid, 20);
    for (const char* other : {"127.0.3.1", "127.0.3.2", "127.0.3.3"}) {
      HttpClient client(supervisor.target(), other);
      // Connect to a namespace: answered at once by the worker that has the session, with 400 by any other.
      client.send_raw("POST " + session + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n\r\n40");
      const std::optional<Response> response = client.receive();
      ASSERT_TRUE(response) << name_of(client.ending());
      EXPECT_EQ(response->code, 200) << response->body;
    }
  }
  HttpClient silent(supervisor.target());
  supervisor.wait_until("who says nothing waits", [](const StatusView& status) { return status.waiting == 1; });
  supervisor.wait_until_settled();
}

TEST_F(NodeServed, WhatAProgramSaysIsLoggedOrRelayed) {
  for (const std::string where : {"log", "relay"}) {
    const Supervisor supervisor(plan_of(node("http.js", {"3000"}), {"--node-messages", where}));
    supervisor.wait_until_serving();
    EXPECT_TRUE(get_once(supervisor.target(), "/say"));
    if (where == "log") supervisor.wait_until_told(R"(process.send: {"said":)");
    if (where == "relay") wait_until_written(supervisor, R"(message {"said":)");
  }
}

TEST_F(NodeServed, PM2sSignsAreUnderstood) {
  const Supervisor supervisor(
      plan_of(node("http.js", {"3000"}), {"--node-ready", "message", "--node-farewell", "message"}, 1));
  wait_until_written(supervisor, "listening 0");
  EXPECT_THAT(supervisor.status().json, HasSubstr(R"("state": "starting")")) << "it has not said that it is ready";
  EXPECT_TRUE(get_once(supervisor.target(), "/ready")) << "it listens, and says so now";
  supervisor.wait_until_serving();
  EXPECT_EQ(supervisor.tell("stop").exit_code, 0);
  wait_until_written(supervisor, "message \"shutdown\"");
}

TEST_F(NodeServed, OneThatBindsByItselfIsToldOf) {
  const Supervisor supervisor(
      plan_of(node("http.js", {"exclusive"}), {"--start-timeout", "4s", "--kill-timeout", "1s"}, 1));
  supervisor.wait_until_told("{exclusive: true}");
}

TEST_F(NodeServed, ALauncherInTheWayIsToldOf) {
  const Ran ran = run({holdfast_program(), "run", "-l", "127.0.0.1:0", "--intake", "node", "--", "npm", "start"});
  EXPECT_EQ(ran.exit_code, 2) << ran.errors;
  EXPECT_THAT(ran.errors, HasSubstr("npm is a Node.js program that starts yours"));
}

}  // namespace
}  // namespace holdfast::test
