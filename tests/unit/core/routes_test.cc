#include "core/routes.h"

#include <array>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Cidr cidr(std::string_view text) { return *parse_cidr(text); }

Route route(RouteCondition when, std::string pool = "main") { return {std::move(when), ToPool{std::move(pool)}}; }
RouteCondition websocket(bool wanted) {
  RouteCondition when;
  when.websocket = wanted;
  return when;
}
RouteCondition host(std::string_view pattern) {
  RouteCondition when;
  when.host = NamePattern(pattern);
  return when;
}
RouteCondition path(std::string prefix) {
  RouteCondition when;
  when.path_prefix = std::move(prefix);
  return when;
}
RouteCondition header(std::string name, std::optional<std::string> value = {}) {
  RouteCondition when;
  when.header = {std::move(name), std::move(value)};
  return when;
}
RouteCondition server_name(std::string_view pattern) {
  RouteCondition when;
  when.server_name = NamePattern(pattern);
  return when;
}
RouteCondition alpn(std::string protocol) {
  RouteCondition when;
  when.alpn = std::move(protocol);
  return when;
}
RouteCondition source(std::vector<Cidr> ranges) {
  RouteCondition when;
  when.source = std::move(ranges);
  return when;
}
RouteCondition both(RouteCondition a, const RouteCondition& b) {
  if (b.websocket) a.websocket = b.websocket;
  if (b.host) a.host = b.host;
  if (b.path_prefix) a.path_prefix = b.path_prefix;
  if (b.header) a.header = b.header;
  if (b.server_name) a.server_name = b.server_name;
  if (b.alpn) a.alpn = b.alpn;
  if (b.source) a.source = b.source;
  return a;
}

bool holds(const RouteCondition& when, const PrefaceFacts& facts) {
  return Routes({route(when)}).match(facts).has_value();
}

const HttpRequest kUpgrade{
    "GET", "/socket.io/?x=1", 1, {{"Host", "WS.Example.com:80"}, {"Upgrade", "websocket"}, {"Connection", "upgrade"}}};
const HttpRequest kPlain{"GET", "/socket%2eio/a", 1, {{"Host", "www.example.com"}, {"X-Env", "test"}}};

PrefaceFacts with(const HttpRequest& request) {
  PrefaceFacts facts;
  facts.request = &request;
  return facts;
}

TEST(NamePattern, AStarStandsForAnything) {
  EXPECT_TRUE(NamePattern("ws.*").matches("ws.example.com"));
  EXPECT_TRUE(NamePattern("WS.*").matches("ws."));
  EXPECT_FALSE(NamePattern("ws.*").matches("ws"));
  EXPECT_FALSE(NamePattern("ws.*").matches("xws.example.com"));
  EXPECT_TRUE(NamePattern("*.example.com").matches("a.b.example.com"));
  EXPECT_FALSE(NamePattern("*.example.com").matches("example.com"));
  EXPECT_TRUE(NamePattern("a*b*c").matches("abbc"));
  EXPECT_TRUE(NamePattern("a*b*c").matches("axbxbxc"));
  EXPECT_FALSE(NamePattern("a*b*c").matches("acb"));
  EXPECT_TRUE(NamePattern("*").matches(""));
  EXPECT_TRUE(NamePattern("**").matches("x"));
  EXPECT_TRUE(NamePattern("").matches(""));
  EXPECT_FALSE(NamePattern("").matches("x"));
  const std::string hard = std::string(4000, 'a') + "b";
  EXPECT_FALSE(NamePattern("*a*a*a*a*a*a*a*a*c").matches(hard)) << "and it ends";
}

TEST(NamePattern, CoversWhatMatchesLess) {
  EXPECT_TRUE(NamePattern("*").covers(NamePattern("ws.*")));
  EXPECT_TRUE(NamePattern("*.com").covers(NamePattern("*.example.com")));
  EXPECT_TRUE(NamePattern("ws.*").covers(NamePattern("ws.*")));
  EXPECT_TRUE(NamePattern("a*").covers(NamePattern("ab*")));
  EXPECT_FALSE(NamePattern("ab*").covers(NamePattern("a*")));
  EXPECT_FALSE(NamePattern("*b").covers(NamePattern("b*")));
  EXPECT_FALSE(NamePattern("a.com").covers(NamePattern("*.com")));
}

TEST(Routes, LooksAtTheHttpHead) {
  EXPECT_TRUE(holds(websocket(true), with(kUpgrade)));
  EXPECT_FALSE(holds(websocket(false), with(kUpgrade)));
  EXPECT_TRUE(holds(websocket(false), with(kPlain)));
  EXPECT_TRUE(holds(host("ws.*"), with(kUpgrade)));
  EXPECT_FALSE(holds(host("ws.*"), with(kPlain)));
  EXPECT_TRUE(holds(path("/socket.io/"), with(kUpgrade)));
  EXPECT_TRUE(holds(path("/socket.io/"), with(kPlain))) << "decoded";
  EXPECT_FALSE(holds(path("/socket.io/b"), with(kPlain)));
  EXPECT_TRUE(holds(header("x-env"), with(kPlain)));
  EXPECT_TRUE(holds(header("X-Env", "test"), with(kPlain)));
  EXPECT_FALSE(holds(header("X-Env", "tes"), with(kPlain)));
  EXPECT_FALSE(holds(header("X-Env"), with(kUpgrade)));
}

TEST(Routes, WithoutAnHttpHeadNoneOfItsConditionsHolds) {
  for (const RouteCondition& when : {websocket(true), websocket(false), host("*"), path("/"), header("Host")}) {
    EXPECT_FALSE(holds(when, PrefaceFacts{}));
  }
  EXPECT_TRUE(holds({}, PrefaceFacts{}));
}

TEST(Routes, LooksAtTheTlsHello) {
  const std::array<std::string, 2> protocols = {"h2", "http/1.1"};
  PrefaceFacts facts;
  EXPECT_FALSE(holds(server_name("*"), facts)) << "no name is no name";
  facts.server_name = "a.example";
  facts.alpn = protocols;
  EXPECT_TRUE(holds(server_name("*.example"), facts));
  EXPECT_TRUE(holds(alpn("http/1.1"), facts));
  EXPECT_FALSE(holds(alpn("h3"), facts));
  EXPECT_FALSE(holds(both(alpn("h2"), server_name("b.*")), facts)) << "all must hold";
}

TEST(Routes, LooksAtTheClientsAddress) {
  PrefaceFacts facts;
  const RouteCondition inside = source({cidr("10.0.0.0/8"), cidr("2001:db8::/32")});
  EXPECT_FALSE(holds(inside, facts)) << "a Unix client has none";
  facts.remote = *IpAddress::parse("10.1.2.3");
  EXPECT_TRUE(holds(inside, facts));
  facts.remote = *IpAddress::parse("11.1.2.3");
  EXPECT_FALSE(holds(inside, facts));
}

TEST(Routes, TheFirstThatHoldsDecides) {
  const Routes routes(
      {route(websocket(true), "chat"), {source({cidr("192.0.2.0/24")}), ToRefusal{}}, route(path("/api"), "api")});
  PrefaceFacts facts = with(kUpgrade);
  facts.remote = *IpAddress::parse("192.0.2.1");
  EXPECT_EQ(routes.match(facts), 0U);
  facts.request = &kPlain;
  EXPECT_EQ(routes.match(facts), 1U);
  EXPECT_TRUE(std::holds_alternative<ToRefusal>(routes[1].then));
  facts.remote.reset();
  EXPECT_EQ(routes.match(facts), std::nullopt) << "the listener's own pool";
}

TEST(Routes, KnowsWhatItMustSee) {
  EXPECT_FALSE(Routes().needs_http());
  EXPECT_TRUE(Routes({route(alpn("h2")), route(host("a"))}).needs_http());
  EXPECT_TRUE(Routes({route(alpn("h2"))}).needs_tls());
  EXPECT_FALSE(Routes({route(source({}))}).needs_tls());
}

// Which routes are faulty, and why.
std::vector<std::string> faults(const std::vector<Route>& routes, TlsSource tls = TlsSource::Hello) {
  const std::vector<std::string> pools = {"main", "chat"};
  std::vector<std::string> texts;
  for (const RouteFault& fault : faults_in(routes, pools, tls)) {
    texts.push_back(std::to_string(fault.route + 1) + ": " + fault.reason);
  }
  return texts;
}

TEST(RouteFaults, NoneInAGoodList) {
  EXPECT_THAT(faults({route(websocket(true), "chat"), route(host("ws.*"), "chat"), route(path("/socket.io/"), "chat"),
                      route(path("/socket.io")), route(alpn("h2")), route(source({cidr("10.0.0.0/8")})), route({})}),
              IsEmpty());
}

TEST(RouteFaults, APoolThatDoesNotExist) {
  EXPECT_THAT(faults({route({}, "chatt")}), ElementsAre("1: there is no pool 'chatt'"));
}

TEST(RouteFaults, AConditionThatCanNeverHold) {
  const auto never = [](const RouteCondition& when, TlsSource tls = TlsSource::Hello) {
    return faults({route(when)}, tls);
  };
  EXPECT_THAT(never(source({})), ElementsAre(HasSubstr("1: it can never hold: its list of sources is empty")));
  EXPECT_THAT(never(host("example.com/chat")), ElementsAre(HasSubstr("no host has '/'")));
  EXPECT_THAT(never(host("example.com:80")), ElementsAre(HasSubstr("without its port")));
  EXPECT_THAT(never(host("[::1]")), IsEmpty());
  EXPECT_THAT(never(path("socket.io")), ElementsAre(HasSubstr("every path begins with '/'")));
  EXPECT_THAT(never(host("ws.example.")), ElementsAre(HasSubstr("without a dot at their end")));
  EXPECT_THAT(never(server_name("*.")), ElementsAre(HasSubstr("without a dot at their end")));
  EXPECT_THAT(never(header("")), ElementsAre(HasSubstr("no name")));
  EXPECT_THAT(never(header("X Blocked")), ElementsAre(HasSubstr("no header has such a name: 'X Blocked'")));
  EXPECT_THAT(never(header("X-Blocked:")), ElementsAre(HasSubstr("no header has such a name")));
  EXPECT_THAT(never(header("X", "")), ElementsAre(HasSubstr("empty value")));
  EXPECT_THAT(never(header("X", " a")), ElementsAre(HasSubstr("blanks at its ends")));
  EXPECT_THAT(never(alpn("")), ElementsAre(HasSubstr("empty name")));
  EXPECT_THAT(never(both(server_name("a.*"), websocket(true))), ElementsAre(HasSubstr("what follows is encrypted")));
  EXPECT_THAT(never(both(alpn("h2"), path("/"))), ElementsAre(HasSubstr("what follows is encrypted")));
  EXPECT_THAT(never(both(server_name("a.*"), websocket(true)), TlsSource::ProxyHeader), IsEmpty())
      << "TLS ended at the proxy, which says both";
}

TEST(RouteFaults, APathThatIsNotDecoded) {
  EXPECT_THAT(faults({route(path("/a%20b"))}),
              ElementsAre("1: paths are decoded before they are compared: write its path-prefix as \"/a b\""));
  EXPECT_THAT(faults({route(path("/100%"))}), IsEmpty());
}

TEST(RouteFaults, ARouteThatAnEarlierOneLeavesNothingFor) {
  const auto hidden = [](const RouteCondition& first, const RouteCondition& second) {
    return faults({route(first), route(second)});
  };
  const auto is_hidden = ElementsAre(HasSubstr("2: it is never reached: route 1 already takes"));
  EXPECT_THAT(hidden({}, websocket(true)), is_hidden);
  EXPECT_THAT(hidden(websocket(true), both(websocket(true), host("a"))), is_hidden);
  EXPECT_THAT(hidden(host("*.com"), host("ws.example.com")), is_hidden);
  EXPECT_THAT(hidden(path("/a"), path("/a/b")), is_hidden);
  EXPECT_THAT(hidden(path("/a/b"), path("/a")), IsEmpty());
  EXPECT_THAT(hidden(header("X-A"), header("x-a", "1")), is_hidden);
  EXPECT_THAT(hidden(header("X-A", "1"), header("x-a")), IsEmpty());
  EXPECT_THAT(hidden(header("X-A", "1"), header("x-a", "2")), IsEmpty());
  EXPECT_THAT(
      hidden(source({cidr("10.0.0.0/8"), cidr("192.0.2.0/24")}), source({cidr("10.1.0.0/16"), cidr("192.0.2.1")})),
      is_hidden);
  EXPECT_THAT(hidden(source({cidr("10.0.0.0/8")}), source({cidr("10.1.0.0/16"), cidr("192.0.2.1")})), IsEmpty());
  EXPECT_THAT(hidden(source({cidr("10.0.0.0/8")}), {}), IsEmpty());
  EXPECT_THAT(hidden(alpn("h2"), both(alpn("h2"), server_name("a"))), is_hidden);
  EXPECT_THAT(hidden(server_name("*"), server_name("a")), is_hidden);
}

TEST(RouteFaults, TwoOppositesLeaveNothingOfHttp) {
  EXPECT_THAT(faults({route(websocket(true)), route(websocket(false)), route(host("a")), route(alpn("h2")), route({})}),
              ElementsAre(HasSubstr("3: it is never reached")));
  EXPECT_THAT(faults({route(both(websocket(true), host("a"))), route(both(websocket(false), host("a"))),
                      route(host("b")), route(both(host("a"), path("/x")))}),
              ElementsAre(HasSubstr("4: it is never reached")));
}

// What is said never to be reached is never reached, and what can never hold never does.
TEST(RouteFaults, AreRight) {
  std::mt19937 random(static_cast<std::mt19937::result_type>(random_seed()));
  const auto one_of = [&random](const auto& list) { return list[random() % std::size(list)]; };
  constexpr const char* kHosts[] = {"*", "a.*", "*.b", "a.b", "a.*b", "b.b"};
  constexpr const char* kNames[] = {"a.b", "a.cb", "b.b", "c"};
  constexpr const char* kPaths[] = {"/", "/x", "/x/y", "x"};
  constexpr const char* kTargets[] = {"/", "/x", "/x/y/z", "*"};
  constexpr const char* kRanges[] = {"10.0.0.0/8", "10.1.0.0/16", "192.0.2.1", "0.0.0.0/0"};
  constexpr const char* kSources[] = {"10.1.2.3", "10.2.3.4", "192.0.2.1", "2001:db8::1"};
  constexpr const char* kProtocols[] = {"h2", "http/1.1"};
  int unreachable = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<Route> routes;
    for (int i = 0; i < 5; ++i) {
      RouteCondition when;
      if (random() % 3 == 0) when.websocket = random() % 2 == 0;
      if (random() % 3 == 0) when.host = NamePattern(one_of(kHosts));
      if (random() % 3 == 0) when.path_prefix = one_of(kPaths);
      if (random() % 4 == 0) when.header = {"X", random() % 2 == 0 ? std::optional<std::string>("1") : std::nullopt};
      if (random() % 5 == 0) when.server_name = NamePattern(one_of(kHosts));
      if (random() % 5 == 0) when.alpn = one_of(kProtocols);
      if (random() % 4 == 0) when.source = {cidr(one_of(kRanges)), cidr(one_of(kRanges))};
      routes.push_back(route(std::move(when)));
    }
    const std::vector<RouteFault> found = faults_in(routes, std::vector<std::string>{"main"}, TlsSource::Hello);
    if (found.empty()) continue;
    unreachable += static_cast<int>(found.size());
    const Routes list(routes);
    for (int i = 0; i < 200; ++i) {
      HttpRequest request{"GET", one_of(kTargets), 1, {{"Host", one_of(kNames)}}};
      if (random() % 2 == 0)
        request.fields.insert(request.fields.end(), {{"Upgrade", "websocket"}, {"Connection", "upgrade"}});
      if (random() % 2 == 0) request.fields.push_back({"X", one_of(std::array<const char*, 2>{"1", "2"})});
      const std::array<std::string, 1> protocols = {one_of(kProtocols)};
      PrefaceFacts facts;
      facts.remote = *IpAddress::parse(one_of(kSources));
      if (random() % 3 != 0) {
        facts.request = &request;
      } else {
        facts.server_name = one_of(kNames);
        facts.alpn = protocols;
      }
      const std::optional<std::size_t> matched = list.match(facts);
      for (const RouteFault& fault : found) ASSERT_NE(matched, fault.route) << fault.reason;
    }
  }
  EXPECT_GT(unreachable, 1000);
}

}  // namespace
}  // namespace holdfast
