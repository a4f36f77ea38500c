// The life of Node.js workers that know nothing of Holdfast: who is replaced, and what becomes of their clients.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "support/load_loop.h"
#include "system/node_workers/node_served.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;
using testing::Not;

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
      // cluster.worker.id, by which programs let the first worker do what is to be done once
      EXPECT_THAT(response->body, HasSubstr("\"worker\":" + std::to_string(response->slot + 1) + ","));
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

// Node.js does not tell what its workers have open: the kernel is asked, and the next program must know about what.
TEST_F(NodeServed, WhatIsOpenCountsAfterAnUpgradeToo) {
  const Supervisor supervisor(plan_of(node("http.js", {"3000"}), {"--max-connections", "2", "--wait-limit", "0"}));
  supervisor.wait_until_serving();
  std::vector<HttpClient> open;
  for (std::size_t i = 1; i <= 2; i++) {
    open.emplace_back(supervisor.target()).send_raw("GET / HTTP/1.1\r\n");  // and no more: it stays open
    supervisor.wait_until("it is taken up", [&](const StatusView& status) { return status.handed == i; });
  }
  const Ran ran = supervisor.tell("upgrade", {"--wait"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors << supervisor.errors();
  HttpClient third(supervisor.target());
  third.send("/", "close");
  EXPECT_TRUE(third.closed_by_peer()) << name_of(third.ending());
  EXPECT_EQ(supervisor.status().refused.at("max-connections"), 1u);
  open.clear();
  EXPECT_TRUE(eventually([&] { return get_once(supervisor.target(), "/").has_value(); })) << "there is room again";
}

// Thirty, who wait for a worker that does nothing.
std::vector<HttpClient> clients_of_a_stopped_one(const Supervisor& supervisor, pid_t worker) {
  send_signal(worker, SIGSTOP);
  EXPECT_TRUE(eventually([&] { return process_state(worker) == "T"; }));
  std::vector<HttpClient> clients;
  for (const std::string& source : ipv4_sources(30)) {
    clients.emplace_back(supervisor.target(), source);
    clients.back().send("/", "close");
  }
  supervisor.wait_until("all wait", [](const StatusView& status) { return status.waiting == 30; });
  return clients;
}

void expect_others_serve(const Supervisor& supervisor, pid_t worker, std::vector<HttpClient>& clients) {
  for (HttpClient& client : clients) {
    const std::optional<Response> response = client.receive();
    ASSERT_TRUE(response) << name_of(client.ending()) << supervisor.errors();
    EXPECT_NE(response->pid, worker);
  }
  EXPECT_EQ(supervisor.wait_until_settled().handed, clients.size());
}

TEST_F(NodeServed, WhatADeadWorkerHadNotTakenUpIsServedByTheNext) {
  const Supervisor supervisor(plan_of(node("http.js", {"3000"}), {"--heartbeat-timeout", "0"}, 1));
  const pid_t first = supervisor.wait_until_serving().slot(0).pid;
  std::vector<HttpClient> clients = clients_of_a_stopped_one(supervisor, first);
  send_signal(first, SIGKILL);
  expect_others_serve(supervisor, first, clients);
}

TEST_F(NodeServed, WhatAnOldWorkerHadNotTakenUpIsServedByItsSuccessor) {
  const Supervisor supervisor(plan_of(
      node("http.js", {"3000"}), {"--heartbeat-timeout", "0", "--drain-timeout", "1s", "--kill-timeout", "1s"}, 1));
  const pid_t first = supervisor.wait_until_serving().slot(0).pid;
  std::vector<HttpClient> clients = clients_of_a_stopped_one(supervisor, first);
  EXPECT_EQ(supervisor.tell("restart", {"--wait"}).exit_code, 0);
  expect_others_serve(supervisor, first, clients);
}

TEST_F(NodeServed, OneThatHangsIsReplaced) {
  const Supervisor supervisor(
      plan_of(node("http.js", {"3000"}), {"--heartbeat-timeout", "6s", "--kill-timeout", "100ms"}, 1));
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

// What a worker does once, as a server that is open; the next one finds the mark, and behaves.
struct Breach {
  const char* name;
  const char* script;
};
void PrintTo(const Breach& breach, std::ostream* out) { *out << breach.name; }
class NodeBreach : public NodeServed, public testing::WithParamInterface<Breach> {};

TEST_P(NodeBreach, IsKilledCountedAndReplacedAndNobodyIsLost) {
  const TempDirectory directory;
  write_text(directory / "bad.js",
             "const fs = require('node:fs'); const mark = __dirname + '/once';\n"
             "const say = (line) => fs.writeSync(3, line + '\\n');\n"
             "const once = (act) => { if (!fs.existsSync(mark)) { fs.writeFileSync(mark, ''); act(); } };\n"
             "require('node:http').createServer((q, r) => r.end('x')).listen(3000, () => {\n" +
                 std::string(GetParam().script) + "\n});\n");
  const Supervisor supervisor(plan_of({"node", directory / "bad.js"}, {"--restart-delay", "0"}, 1));
  ASSERT_TRUE(eventually([&] { return !supervisor.status().slots.empty(); }));
  HttpClient client(supervisor.target());  // for some of them this is what they break it with
  client.send("/", "close");
  supervisor.wait_until_told("broke the channel protocol");
  EXPECT_TRUE(client.receive() || client.ending() == Ending::Reset) << name_of(client.ending());
  const StatusView status = supervisor.wait_until("it is replaced", [](const StatusView& view) {
    return view.all_serving() && view.json.find(R"("protocol_errors": 1)") != std::string::npos;
  });
  EXPECT_THAT(status.json, HasSubstr(R"("restarts": 1)"));
  EXPECT_TRUE(get_once(supervisor.target(), "/")) << supervisor.errors();
  supervisor.wait_until_settled();
}

INSTANTIATE_TEST_SUITE_P(
    Of, NodeBreach,
    testing::Values(
        Breach{"ABadLine", "once(() => say('no JSON'));"}, Breach{"AnEmptyLine", "once(() => say(''));"},
        Breach{"AnAcknowledgementOfNothing", R"(once(() => say('{"cmd":"NODE_HANDLE_ACK"}'));)"},
        Breach{"ASecondAnswer",
               "process.on('internalMessage', (m) => { if (m.act === 'newconn') setImmediate(() => once(() =>\n"
               "  say(JSON.stringify({cmd: 'NODE_CLUSTER', ack: m.seq, accepted: true, seq: 900})))); });"},
        Breach{"ASecondAcknowledgement",
               "process.on('internalMessage', (m) => { if (m.act === 'newconn') setImmediate(() => once(() =>\n"
               R"(  say('{"cmd":"NODE_HANDLE_ACK"}'))); });)"},
        Breach{"AServerNobodyAskedFor", R"(once(() => say('{"cmd":"NODE_CLUSTER","act":"listening","index":"x"}'));)"}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST_F(NodeServed, AnUnhealthyOneIsGivenNobodyUntilItPassesAgain) {
  const TempDirectory directory;
  write_text(directory / "app.js",
             "const fs = require('node:fs'), http = require('node:http');\n"
             "const ill = () => fs.existsSync(`${__dirname}/ill-${process.env.NODE_APP_INSTANCE}`);\n"
             "const answer = (q, r) => r.writeHead(q.url === '/healthz' && ill() ? 503 : 200).end('x');\n"
             "http.createServer(answer).listen(3000);\n");
  SupervisorPlan plan = plan_of(
      {"node", directory / "app.js"},
      {"--health-http", "/healthz", "--health-interval", "100ms", "--health-fail", "2", "--health-timeout", "5s"});
  plan.listen = {"unix:{dir}/none", "127.0.0.1:0"};  // checks must come by a listener that the program serves
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  write_text(directory / "ill-0", "");
  const StatusView ill = supervisor.wait_until("its clients go elsewhere", [](const StatusView& status) {
    return status.slot(0).health == "unhealthy" && status.slot(0).buckets == 0;
  });
  EXPECT_EQ(ill.slot(0).last_check, "GET /healthz: 503 Service Unavailable");
  EXPECT_EQ(ill.slot(1).health, "healthy");
  EXPECT_TRUE(ill.balanced()) << ill.json;
  EXPECT_GT(ill.checks, 0u);
  std::filesystem::remove(directory / "ill-0");
  supervisor.wait_until("they are back", [&](const StatusView& status) {
    return status.slot(0).health == "healthy" && status.slot(0).buckets == before.slot(0).buckets;
  });
  EXPECT_EQ(supervisor.status().restarts(), 0u);
}

TEST_F(NodeServed, OneThatHasTakenUpEnoughIsReplaced) {
  const Supervisor supervisor(plan_of(node("http.js", {"3000"}), {"--recycle-connections", "5"}, 1));
  const pid_t first = supervisor.wait_until_serving().slot(0).pid;
  for (int i = 0; i < 10; i++) EXPECT_TRUE(get_once(supervisor.target(), "/"));
  supervisor.wait_until("another serves",
                        [&](const StatusView& status) { return status.all_serving() && status.slot(0).pid != first; });
}

TEST_F(NodeServed, MessagesForOneThatDoesNotReadAreCountedAndToldOf) {
  const TempDirectory directory;
  write_text(directory / "app.js",
             "const much = 'x'.repeat(14 << 20);\n"
             "require('node:http').createServer((q, r) => {\n"
             "  for (let i = 0; i < 5; i++) process.send({ much });\n"
             "  process.send('one too many');\n"
             "  r.end('x');\n"
             "}).listen(3000);\n");
  const Supervisor supervisor(
      plan_of({"node", directory / "app.js"}, {"--node-messages", "relay", "--heartbeat-timeout", "0"}));
  const StatusView status = supervisor.wait_until_serving();
  std::string client;
  for (const std::string& source : ipv4_sources(40)) {
    if (supervisor.route(source) == 1) client = source;
  }
  send_signal(status.slot(0).pid, SIGSTOP);
  ASSERT_TRUE(eventually([&] { return process_state(status.slot(0).pid) == "T"; }));
  ASSERT_TRUE(get_once(supervisor.target(), "/", client));
  supervisor.wait_until_told("a message for it was dropped: it does not read its channel", 3 * kPatience);
  EXPECT_THAT(supervisor.status().json, Not(HasSubstr(R"("node_messages_dropped": 0)")));
}

}  // namespace
}  // namespace holdfast::test
