// Node.js workers go on behind the next program: they see nothing of it.
#include <gmock/gmock.h>
#include <signal.h>

#include <cstdlib>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;

class UpgradeNode : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("node --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "there is no node here";
  }
  static SupervisorPlan plan(std::vector<std::string> options = {}, unsigned workers = 2) {
    SupervisorPlan plan;
    plan.workers = workers;
    plan.options = std::move(options);
    plan.command = {"node", source_file("tests/interop/node/workers/http.js"), "3000"};
    return plan;
  }
  static void upgrade(const Supervisor& supervisor, int times = 1) {
    for (int i = 0; i < times; i++) {
      const Ran ran = supervisor.tell("upgrade", {"--wait"});
      ASSERT_EQ(ran.exit_code, 0) << ran.errors << supervisor.errors();
    }
  }
};

TEST_F(UpgradeNode, UnderLoadNobodyFailsOrMovesAndTheyAreReplacedAsBefore) {
  const Supervisor supervisor(plan());
  const StatusView before = supervisor.wait_until_serving();
  HttpClient open(supervisor.target(), "127.0.3.1");
  ASSERT_TRUE(open.get("/"));
  LoadLoop load(LoadPlan{supervisor.target(), ipv4_sources(100), 8, std::nullopt, "/", kPatience});
  for (int i = 0; i < 10; i++) {
    const std::uint64_t answered = load.answered();
    ASSERT_TRUE(eventually([&] { return load.answered() > answered + 20; })) << "the load does not flow";
    upgrade(supervisor);
  }
  EXPECT_EQ(supervisor.status().pids(), before.pids());
  EXPECT_EQ(supervisor.tell("restart", {"--wait"}).exit_code, 0) << supervisor.errors();
  const std::uint64_t answered = load.answered();
  EXPECT_TRUE(eventually([&] { return load.answered() > answered + 100; }));
  const LoadReport report = load.stop();
  EXPECT_EQ(report.failed(), 0U) << report.summary() << supervisor.errors();
  EXPECT_TRUE(report.moved().empty()) << report.moved().size() << " clients moved";
  const StatusView after = supervisor.wait_until_settled();
  EXPECT_EQ(after.accepted, report.connections() + 1);
  EXPECT_EQ(after.handed, after.accepted);
  EXPECT_EQ(after.refused_in_all(), 0U);
}

TEST_F(UpgradeNode, WhatIsOnItsWayToAWorkerIsServedByItOrByTheNext) {
  const Supervisor supervisor(plan({"--heartbeat-timeout", "0"}));
  const StatusView before = supervisor.wait_until_serving();
  for (const pid_t pid : before.pids()) {
    send_signal(pid, SIGSTOP);
    ASSERT_TRUE(eventually([&] { return process_state(pid) == "T"; }));
  }
  std::vector<HttpClient> clients;
  for (const std::string& source : ipv4_sources(400)) {  // more than a channel holds
    clients.emplace_back(supervisor.target(), source);
    clients.back().send("/", "close");
  }
  supervisor.wait_until("all wait", [](const StatusView& status) { return status.waiting == 400; });
  upgrade(supervisor, 2);
  EXPECT_EQ(supervisor.status().waiting, 400U);
  EXPECT_TRUE(supervisor.status().balanced());
  send_signal(before.slot(0).pid, SIGCONT);
  send_signal(before.slot(1).pid, SIGKILL);
  for (HttpClient& client : clients) {
    const std::optional<Response> response = client.receive();
    ASSERT_TRUE(response) << name_of(client.ending()) << supervisor.errors();
    EXPECT_NE(response->pid, before.slot(1).pid);
  }
  EXPECT_EQ(supervisor.wait_until_settled().handed, 400U);
}

TEST_F(UpgradeNode, OneThatIsStillStartingIsReadyWhenItListensAndNotBefore) {
  const TempDirectory directory;
  // What it has beside shows that it was looked at, and by which rules.
  write_text(directory / "app.js",
             "const fs = require('node:fs'), http = require('node:http');\n"
             "http.createServer().listen({ port: 0, exclusive: true });\n"
             "const listen = () => http.createServer((q, r) => r.end('x')).listen(3000);\n"
             "const late = setInterval(() => { if (fs.existsSync(__dirname + '/go')) { clearInterval(late); listen(); "
             "} }, 20);\n");
  SupervisorPlan slow = plan({"--start-grace", "100ms", "--start-timeout", "1h"}, 1);
  slow.command = {"node", directory / "app.js"};
  const Supervisor supervisor(slow);
  const std::string looked_at = "is not ready so far, and it listens by itself on";
  supervisor.wait_until_told(looked_at);
  upgrade(supervisor);
  EXPECT_TRUE(eventually([&] {
    const std::string errors = supervisor.errors();
    return errors.find(looked_at) != errors.rfind(looked_at);
  })) << supervisor.errors();
  EXPECT_EQ(supervisor.status().slot(0).state, "starting");
  write_text(directory / "go", "");
  supervisor.wait_until_serving();
  EXPECT_TRUE(get_once(supervisor.target(), "/")) << supervisor.errors();
}

TEST_F(UpgradeNode, OneThatHasClosedItsServersIsGivenNobodyAfterwards) {
  const Supervisor supervisor(plan());
  supervisor.wait_until_serving();
  std::string client;
  for (const std::string& source : ipv4_sources(40)) {
    if (supervisor.route(source) == 0) client = source;
  }
  ASSERT_TRUE(get_once(supervisor.target(), "/close", client));
  const auto is_lent = [](const StatusView& status) { return status.slot(0).buckets == 0; };
  supervisor.wait_until("its clients go elsewhere", is_lent);
  upgrade(supervisor);
  supervisor.wait_until("they still do", is_lent);
  const std::optional<Response> response = get_once(supervisor.target(), "/", client);
  ASSERT_TRUE(response) << supervisor.errors();
  EXPECT_EQ(response->slot, 1);
}

TEST_F(UpgradeNode, TheOnlyServerStandsInForOtherListenersAsBefore) {
  SupervisorPlan two = plan();
  two.listen = {"127.0.0.1:0", "127.0.0.1:0"};
  const Supervisor supervisor(two);
  supervisor.wait_until_serving();
  upgrade(supervisor);
  for (const std::string& source : ipv4_sources(8)) {
    EXPECT_TRUE(get_once(supervisor.target(1), "/", source)) << supervisor.errors();
  }
}

TEST_F(UpgradeNode, WhatIsSaidBetweenWorkersIsHeardOn) {
  const Supervisor supervisor(plan({"--node-messages", "relay"}));
  supervisor.wait_until_serving();
  upgrade(supervisor);
  EXPECT_TRUE(get_once(supervisor.target(), "/say"));
  EXPECT_TRUE(eventually([&] { return supervisor.output().find(R"(message {"said":)") != std::string::npos; }))
      << supervisor.output() << supervisor.errors();
}

// The adapters of a dead worker were told of by messages that the program of before has heard.
TEST_F(UpgradeNode, AnAdapterThatWasToldOfBeforeIsMissedAfterwards) {
  const TempDirectory directory;
  write_text(directory / "adapter.js",
             "require('node:http').createServer().listen(3000);\n"
             "process.on('message', (m) => console.log('heard ' + JSON.stringify(m)));\n"
             "process.send({ source: '_sio_adapter', type: 1, uid: 'of ' + process.pid, nsp: '/chat' });\n");
  SupervisorPlan adapters = plan();
  adapters.command = {"node", directory / "adapter.js"};
  const Supervisor supervisor(adapters);
  const StatusView status = supervisor.wait_until_serving();
  const auto heard = [&](const std::string& type) {
    const std::string told = R"("type":)" + type + R"(,"uid":"of )" + std::to_string(status.slot(0).pid);
    EXPECT_TRUE(eventually([&] { return supervisor.output().find(told) != std::string::npos; }))
        << told << supervisor.output() << supervisor.errors();
  };
  heard("1");
  upgrade(supervisor);
  send_signal(status.slot(0).pid, SIGKILL);
  heard("13");
}

}  // namespace
}  // namespace holdfast::test
