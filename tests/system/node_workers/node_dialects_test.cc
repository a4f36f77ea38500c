// How a Node.js program wants its connections, and what else it says.
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
