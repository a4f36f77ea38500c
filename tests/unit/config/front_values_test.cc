#include "config/front_values.h"

#include <gmock/gmock.h>

#include "config/assemble.h"
#include "config/front_mistakes.h"
#include "config/listener_text.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Assembled from_file(const std::string& text) { return assemble(ConfigFile{"a.toml", text}, Given{}); }

// `keys` in a listener of pool web; there is a pool chat besides.
Assembled with_listener(const std::string& keys, const std::string& pool_keys = "intake = \"sdk\"\n") {
  return from_file(
      "[listeners.http]\naddress = \":80\"\n" + keys + "\n[pools.web]\ncommand = [\"a\"]\n" + pool_keys +
      "[pools.chat]\ncommand = [\"b\"]\nintake = \"sdk\"\n[listeners.own]\naddress = \":81\"\npool = \"chat\"\n");
}

std::vector<std::string> texts(const Assembled& assembled) {
  std::vector<std::string> all;
  for (const Mistake& mistake : assembled.mistakes) all.push_back(to_text(mistake));
  return all;
}

TEST(FrontValues, RoutesAreReadAndToldAlike) {
  const std::string routes =
      R"([{ when = { websocket = true, host = "ws.*" }, pool = "chat" }, )"
      R"({ when = { path-prefix = "/a b", header = "X: \"1\"", source = ["10.0.0.0/8", "2001:db8::/32"] }, refuse = true }, )"
      R"({ when = { sni = "*.example", alpn = "h2" }, pool = "chat" }])";
  const Assembled assembled = with_listener("proxy-protocol = \"required\"\nroutes = " + routes);
  EXPECT_THAT(texts(assembled), ElementsAre());
  ASSERT_EQ(assembled.config.listeners.size(), 2u);
  EXPECT_EQ(to_toml(value_of(assembled.config.listeners[0].routes)), routes);
  // A proxy may tell what the hello said, and show the head that came in it, wherever it may write a header.
  const Assembled optional = with_listener(
      "proxy-protocol = { optional-from = [\"10.0.0.0/8\"] }\nroutes = [{ when = { sni = \"a\", path-prefix = "
      "\"/\" }, refuse = true }]");
  EXPECT_THAT(texts(optional), ElementsAre());
}

TEST(FrontValues, ThePolicyOfTheProxyProtocolHasTwoSpellings) {
  const Assembled table = with_listener(R"(proxy-protocol = { optional-from = ["10.0.0.0/8", "192.0.2.1"] })");
  const Assembled text = with_listener(R"x(proxy-protocol = "optional-from(10.0.0.0/8, 192.0.2.1)")x");
  EXPECT_THAT(texts(table), ElementsAre());
  EXPECT_THAT(texts(text), ElementsAre());
  EXPECT_EQ(table.config.listeners[0].proxy_protocol.mode, ProxyPolicy::Mode::OptionalFrom);
  EXPECT_EQ(table.config.listeners[0].proxy_protocol, text.config.listeners[0].proxy_protocol);
}

TEST(FrontValues, WhatIsWrongIsToldAtItsElement) {
  EXPECT_THAT(texts(with_listener("routes = [\n  { when = {}, pool = 3 },\n  { when = { source = [\"10.0.0.1/8\"] }, "
                                  "refuse = true },\n  { when = {} },\n  7,\n]")),
              ElementsAre(HasSubstr("a.toml:4:3: routes: pool is to be a string"), HasSubstr("a.toml:5:3: routes: "),
                          HasSubstr("a.toml:6:3: routes: a route without an end"),
                          HasSubstr("a.toml:7:3: routes: 7 is not a route")));
  EXPECT_THAT(texts(with_listener("proxy-protocol = \"optional\"")),
              ElementsAre(HasSubstr("a.toml:3:18: proxy-protocol")));
  EXPECT_THAT(texts(with_listener("preface-timeout = [{ a = 1 }]")),
              ElementsAre(HasSubstr("a list of tables is no value of it")));
}

TEST(FrontValues, WhatTheSteerPlaneCannotDoIsSaid) {
  const Assembled capture =
      with_listener("proxy-protocol = \"required\"", "intake = \"capture\"\nkey = \"cookie(a)\"\n");
  EXPECT_THAT(texts(capture), ElementsAre(HasSubstr("a.toml:3:1: proxy-protocol cannot be had"),
                                          HasSubstr("a.toml:7:1: key cookie(a) cannot be had")));
  const Assembled open = with_listener("", "placement = \"round-robin\"\n");
  EXPECT_THAT(texts(open), ElementsAre(HasSubstr("placement round-robin cannot be had: workers of intake auto")));
}

TEST(FrontValues, EachThatCannotBeHadIsNamedWhereItStands) {
  const std::string keys =
      "allow = \"/a\"\ndeny = \"/b\"\nsource-rate = 1\nban-after = 2\nadmission = \"dry-run\"\n"
      "refusal = \"http\"\npreface-timeout = \"1s\"\npreface-limit = 7\n";
  const auto told = [](const char* place, const std::string& key) {
    return HasSubstr("a.toml:" + std::string(place) + ": " + key + " cannot be had: pool 'web' is in the steer plane");
  };
  EXPECT_THAT(texts(with_listener(keys, "intake = \"capture\"\n")),
              ElementsAre(told("3:1", "allow"), told("4:1", "deny"), told("5:1", "source-rate"),
                          told("6:1", "ban-after"), told("7:1", "admission"), told("8:1", "refusal"),
                          told("9:1", "preface-timeout"), told("10:1", "preface-limit")));
}

TEST(FrontValues, LimitsThatAreOnlyTriedAreNamedByTheirKeys) {
  const Assembled listed =
      with_listener("dry-run = [\"ban-after\", \"deny\"]", "intake = \"sdk\"\ndry-run = [\"max-connections\"]\n");
  const Assembled text = with_listener("dry-run = \"deny, ban-after\"", "intake = \"sdk\"\n");
  EXPECT_THAT(texts(listed), ElementsAre());
  EXPECT_THAT(texts(text), ElementsAre());
  const LimitSet limits = Limit::Deny | LimitSet(Limit::Ban);
  EXPECT_EQ(listed.config.listeners[0].admission.dry_run, limits);
  EXPECT_EQ(text.config.listeners[0].admission.dry_run, limits);
  EXPECT_EQ(listed.config.pools[0].dry_run, LimitSet(Limit::Connections));
  EXPECT_EQ(to_toml(value_of(limits)), R"(["deny", "ban-after"])");

  const auto told = [](const std::string& keys) { return texts(with_listener(keys, "intake = \"sdk\"\n")); };
  EXPECT_THAT(
      told("dry-run = [\"deny\", \"source-rates\"]"),
      ElementsAre(HasSubstr("'source-rates' is none of the limits that can be tried, did you mean 'source-rate'?")));
  EXPECT_THAT(told("dry-run = \"everything\""), ElementsAre(HasSubstr("can be tried: allow, deny, ban-after")));
  EXPECT_THAT(texts(with_listener("", "intake = \"sdk\"\ndry-run = [\"source-rate\"]\n")),
              ElementsAre(HasSubstr("dry-run of a pool is for max-connections and max-slot-connections")));
}

TEST(FrontValues, NobodyLooksAtDatagrams) {
  const auto told = [](const std::string& keys) {
    return texts(from_file("[listeners.dns]\naddress = \"udp://127.0.0.1:53\"\n" + keys +
                           "[pools.web]\ncommand = [\"a\"]\nintake = \"listen-fds\"\n"));
  };
  EXPECT_THAT(told(""), ElementsAre());
  EXPECT_THAT(told("deny = \"/b\"\nsource-rate = 1\nrefusal = \"http\"\n"),
              ElementsAre(HasSubstr("a.toml:3:1: deny cannot be had: listener 'dns' is for datagrams"),
                          HasSubstr("a.toml:4:1: source-rate cannot be had: listener 'dns' is for datagrams"),
                          HasSubstr("a.toml:5:1: refusal cannot be had: listener 'dns' is for datagrams")));
}

TEST(FrontValues, WhatIsOpenAtAUnixPathNobodyCounts) {
  const Assembled path = from_file(
      "[listeners.http]\naddress = \"unix:/run/a\"\nproxy-protocol = \"required\"\nsource-connections = 5\n"
      "total-connections = 9\nsource-rate = 1\n[pools.web]\ncommand = [\"a\"]\nintake = \"sdk\"\n");
  EXPECT_THAT(texts(path), ElementsAre(HasSubstr("a.toml:4:1: source-connections cannot be had"),
                                       HasSubstr("a.toml:5:1: total-connections cannot be had")));
}

TEST(FrontValues, APoolThatOnlyRoutesLeadToNeedsNoListener) {
  const Assembled assembled = from_file(
      "[listeners.http]\naddress = \":80\"\nroutes = [{ when = { websocket = true }, pool = \"chat\" }]\n"
      "[pools.web]\ncommand = [\"a\"]\nintake = \"sdk\"\n[pools.chat]\ncommand = [\"b\"]\nintake = \"sdk\"\n");
  EXPECT_THAT(texts(assembled), ElementsAre());
}

TEST(FrontValues, WeightsAndBoundsMustMakeSense) {
  const auto pool = [](const std::string& keys) {
    return texts(with_listener("", "intake = \"sdk\"\n" + keys + "\n"));
  };
  EXPECT_THAT(pool("workers = 2\nweights = [0, 0]"), ElementsAre(HasSubstr("leave no slot")));
  EXPECT_THAT(pool("workers = 3\nweights = [0, 0]"), ElementsAre());
  EXPECT_THAT(pool("weights = [-1]"), ElementsAre(HasSubstr("weights are numbers from 0")));
  EXPECT_THAT(pool("balance-factor = 50"), ElementsAre(HasSubstr("below 100 percent")));
  EXPECT_THAT(pool("balance-factor = 150\nplacement = \"random-two\""), ElementsAre(HasSubstr("goes by load")));
  EXPECT_THAT(pool("placement = \"ip-hash\"\nkey = \"cookie(a)\""), ElementsAre(HasSubstr("addresses alone")));
  for (const char* key : {"remote-prefix(24,56)", "forwarded-for(trusted = [10.0.0.0/8])"}) {
    EXPECT_THAT(pool("placement = \"ip-hash\"\nkey = \"" + std::string(key) + "\""),
                ElementsAre(HasSubstr("takes IPv6 addresses whole")));
  }
  EXPECT_THAT(pool("placement = \"ip-hash\"\nkey = \"proxy-address, remote-address\""), ElementsAre());
}

TEST(ListenerTexts, KeysStandBehindTheAddress) {
  const ListenerText plain = split_listener_text("web=unix:/run/a,mode=0660,user=www");
  EXPECT_EQ(plain.address, "web=unix:/run/a,mode=0660,user=www");
  EXPECT_TRUE(plain.given.empty());
  const ListenerText both =
      split_listener_text(":80,proxy-protocol=optional-from(10.0.0.0/8, 192.0.2.1),preface-timeout=2s");
  EXPECT_EQ(both.address, ":80");
  ASSERT_EQ(both.given.size(), 2u);
  EXPECT_EQ(both.given[0].option->key, "proxy-protocol");
  EXPECT_EQ(both.given[0].value, "optional-from(10.0.0.0/8, 192.0.2.1)");
  EXPECT_EQ(both.given[1].value, "2s");
}

}  // namespace
}  // namespace holdfast
