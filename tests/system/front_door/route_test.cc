// `holdfast route` tells where clients really go, whatever places them.
#include <gmock/gmock.h>

#include <set>

#include "support/temp_directory.h"
#include "system/front_door/proxied.h"

namespace holdfast::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

nlohmann::json ask_route(const Supervisor& supervisor, std::map<std::string, std::string> arguments) {
  const std::optional<std::string> answer = supervisor.ask("route", arguments);
  EXPECT_TRUE(answer) << "no answer to route";
  return answer ? nlohmann::json::parse(*answer) : nlohmann::json::object();
}

struct Way {
  std::string name;
  std::vector<std::string> options;
  std::string key = "cookie(sid), remote-address";
};

class Route : public testing::TestWithParam<Way> {
 protected:
  static SupervisorPlan plan() {
    SupervisorPlan plan = by_key(GetParam().key, GetParam().options);
    plan.workers = 3;
    return plan;
  }
  // Both kinds of key, against what really happens.
  static void expect_agreement(const Supervisor& supervisor) {
    for (int i = 1; i <= 12; ++i) {
      const std::string source = "127.0." + std::to_string(i) + ".7";
      const nlohmann::json by_address = ask_route(supervisor, {{"address", source}});
      EXPECT_EQ(by_address["key_name"], "remote-address");
      EXPECT_EQ(by_address["slot"], slot_of(supervisor, request("/"), source)) << source << " " << by_address.dump();
      if (GetParam().key == "remote-address") continue;
      const std::string head = request("/", "Cookie: sid=session-" + std::to_string(i) + "\r\n");
      const nlohmann::json by_cookie = ask_route(supervisor, {{"address", "127.0.0.1"}, {"head", head}});
      EXPECT_EQ(by_cookie["key_name"], "cookie(sid)");
      EXPECT_EQ(by_cookie["key"], "session-" + std::to_string(i));
      EXPECT_EQ(by_cookie["slot"], slot_of(supervisor, head)) << i << " " << by_cookie.dump();
    }
  }
};

TEST_P(Route, IsWhereClientsGoAlsoWhenASlotIsDown) {
  const Supervisor supervisor(plan());
  supervisor.wait_until_serving();
  expect_agreement(supervisor);
  const Ran drained = supervisor.tell("drain", {"1", "--wait"});
  ASSERT_EQ(drained.exit_code, 0) << drained.errors;
  expect_agreement(supervisor);
}

INSTANTIATE_TEST_SUITE_P(
    By, Route,
    testing::Values(Way{"rendezvous", {}}, Way{"weights", {"--weights", "5,2,1"}},
                    Way{"bounded_by_much", {"--balance-factor", "10000"}}, Way{"crc32", {"--placement", "crc32"}},
                    Way{"ip_hash", {"--placement", "ip-hash", "--weights", "1,3,1"}, "remote-address"},
                    Way{"source", {"--placement", "source"}}),
    [](const auto& way) { return way.param.name; });

// What is closed is known only when somebody asks.
TEST(RouteOf, WhatHasBeenClosedStandsInNobodysWay) {
  const Supervisor supervisor(passed("127.0.0.1:0,source-connections=2,total-connections=3", {"--wait-limit", "0"}));
  supervisor.wait_until_serving();
  std::vector<HttpClient> open;
  for (const char* source : {"127.0.7.1", "127.0.7.1", "127.0.7.2"}) {
    open.emplace_back(supervisor.target(), source);
    ASSERT_TRUE(open.back().get("/"));
  }
  const auto refused = [&](const std::string& address) {
    return ask_route(supervisor, {{"address", address}}).value("refused", "");
  };
  EXPECT_EQ(refused("127.0.7.1"), "source-connections");
  EXPECT_EQ(refused("127.0.7.3"), "total-connections");
  open.clear();
  EXPECT_TRUE(eventually([&] { return refused("127.0.7.1").empty(); }));
  EXPECT_TRUE(eventually([&] { return refused("127.0.7.3").empty(); }));
}

TEST(RouteOf, ANewKeyGoesPastASlotThatIsOverItsBound) {
  SupervisorPlan plan = by_key("query(room), remote-address", {"--balance-factor", "110"});
  plan.workers = 2;
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  const auto of_room = [](const std::string& room) { return "GET /?room=" + room + " HTTP/1.1\r\nHost: test\r\n\r\n"; };
  std::vector<HttpClient> open;
  int home = -1;
  for (int i = 0; i < 10; ++i) {
    open.emplace_back(supervisor.target());
    open.back().send_raw(of_room("lobby"));
    const auto answer = told(open.back());
    ASSERT_TRUE(answer) << name_of(open.back().ending());
    home = (*answer)["slot"].get<int>();
  }
  const auto route = [&](const std::string& room) {
    return ask_route(supervisor, {{"address", "127.0.0.1"}, {"head", of_room(room)}})["slot"];
  };
  EXPECT_EQ(route("lobby"), home) << "it has connections there";
  for (int i = 0; i < 8; ++i) {
    const std::string room = "room-" + std::to_string(i);
    EXPECT_EQ(route(room), 1 - home) << room;
    EXPECT_EQ(slot_of(supervisor, request("/?room=" + room)), 1 - home) << room;
  }
}

TEST(RouteOf, ATaggedSessionIsTheSlotInIt) {
  const Supervisor supervisor(by_key("tagged(query(sid)), remote-address"));
  supervisor.wait_until_serving();
  const nlohmann::json answer = ask_route(supervisor, {{"address", "127.0.0.1"}, {"head", request("/?sid=8f3a~3")}});
  EXPECT_EQ(answer["slot"], 3);
  EXPECT_EQ(answer["decided_by"], "tag");
  const Ran text = supervisor.tell("route", {"127.0.0.1", "--target", "/?sid=8f3a~3"});
  EXPECT_THAT(text.output, HasSubstr("goes to slot 3, which its session id names")) << text.errors;
}

TEST(RouteOf, APlacementByLoadIsWhatTheNextOneGets) {
  SupervisorPlan plan = passed("127.0.0.1:0", {"--placement", "round-robin"});
  plan.workers = 3;
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  for (int i = 0; i < 5; ++i) {
    const nlohmann::json answer = ask_route(supervisor, {{"address", "127.0.0.1"}});
    EXPECT_EQ(answer["decided_by"], "load");
    EXPECT_EQ(ask_route(supervisor, {{"address", "127.0.0.1"}})["slot"], answer["slot"]) << "asking takes no turn";
    EXPECT_EQ(answer["slot"], slot_of(supervisor, request("/")));
  }
  EXPECT_THAT(supervisor.tell("route", {"127.0.0.1"}).output, HasSubstr("were it the next to come: round-robin"));
}

// A listener with routes, lists and a PROXY header before two pools.
class RouteThroughADoor : public testing::Test {
 protected:
  RouteThroughADoor() {
    write_text(directory_ / "deny", "203.0.113.0/24\n");
    const std::string worker = "intake = \"sdk\"\nworkers = 2\ncommand = [\"" + whoami_program() + "\"]\n";
    write_text(directory_ / "front.toml",
               "[supervisor]\nname = \"front\"\n[listeners.http]\naddress = \"127.0.0.1:0\"\n"
               "proxy-protocol = \"required\"\ndeny = \"" +
                   (directory_ / "deny") +
                   "\"\nsource-rate = 100\nroutes = [\n  { when = { host = \"ws.*\" }, pool = \"chat\" },\n"
                   "  { when = { header = \"X-Blocked\" }, refuse = true },\n  { when = { sni = \"*.chat\" }, pool = "
                   "\"chat\" },\n]\n[listeners.plain]\naddress = \"127.0.0.1:0\"\npool = \"chat\"\n[pools.web]\n" +
                   worker + "key = [\"cookie(sid)\", \"remote-address\"]\n[pools.chat]\n" + worker);
    supervisor_ = std::make_unique<Supervisor>(plan_of_file(directory_ / "front.toml"));
    supervisor_->wait_until("all serve", [](const StatusView& status) {
      const auto json = nlohmann::json::parse(status.json);
      for (const auto& pool : json["pools"]) {
        for (const auto& slot : pool["slots"]) {
          if (slot["state"] != "serving") return false;
        }
      }
      return true;
    });
  }
  [[nodiscard]] Ran route(std::vector<std::string> arguments) const { return supervisor_->tell("route", arguments); }

  TempDirectory directory_;
  std::unique_ptr<Supervisor> supervisor_;
};

TEST_F(RouteThroughADoor, TellsEachStep) {
  const Ran ran = route({"198.51.100.7", "--explain", "--header", "Cookie: sid=one", "--header", "Host: www.test"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_THAT(ran.output, AllOf(HasSubstr("listener    http"), HasSubstr("told by a PROXY header"),
                                HasSubstr("none holds: the listener's own pool"), HasSubstr("one  by cookie(sid)"),
                                HasSubstr("pool        web"), HasSubstr("placement   rendezvous")));
  EXPECT_THAT(ran.output, AllOf(HasSubstr("weight      1"), HasSubstr("holder      process "),
                                HasSubstr("source-rate = 100 in 1s"), HasSubstr("(1 ranges)")));
  EXPECT_THAT(route({"198.51.100.7"}).output, Not(HasSubstr("listener"))) << "without --explain it is the placement";
}

TEST_F(RouteThroughADoor, IsOfThePoolThatARouteNames) {
  const nlohmann::json by_host =
      nlohmann::json::parse(route({"198.51.100.7", "--json", "--header", "Host: ws.test"}).output);
  EXPECT_EQ(by_host["pool"], "chat");
  EXPECT_THAT(by_host["route"].get<std::string>(), AllOf(HasSubstr("1: "), HasSubstr("ws.*")));
  const nlohmann::json by_name = nlohmann::json::parse(route({"198.51.100.7", "--json", "--sni", "EU.Chat"}).output);
  EXPECT_EQ(by_name["pool"], "chat");
  EXPECT_THAT(by_name["route"].get<std::string>(), HasSubstr("3: "));
  EXPECT_THAT(by_name["missing"].get<std::string>(), HasSubstr("--header"));
}

TEST_F(RouteThroughADoor, TellsWhoIsRefusedAndWhy) {
  EXPECT_THAT(route({"198.51.100.7", "--header", "X-Blocked: 1"}).output, HasSubstr("is refused (route)"));
  EXPECT_THAT(route({"203.0.113.9", "--header", "Host: a"}).output, HasSubstr("is refused (denied)"));
}

TEST_F(RouteThroughADoor, AListenerOrAPoolMayBeAskedAndWhatThereIsNotIsTold) {
  EXPECT_THAT(route({"198.51.100.7", "--listener", "plain", "--explain"}).output,
              AllOf(HasSubstr("listener    plain"), HasSubstr("pool        chat"),
                    HasSubstr("the listener has none: its own pool")));
  EXPECT_THAT(route({"198.51.100.7", "--listener", "plain", "--explain", "--header", "Cookie: sid=one"}).output,
              HasSubstr("are not looked at: no route and no key asks for them"));
  EXPECT_THAT(route({"203.0.113.9", "--pool", "chat"}).output, HasSubstr("goes to slot"));
  const Ran unknown = route({"198.51.100.7", "--listener", "htpp"});
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_THAT(unknown.errors, HasSubstr("there is no listener 'htpp': there is http, plain"));
  EXPECT_THAT(route({"198.51.100.7", "--pool", "wbe"}).errors, HasSubstr("there is no pool 'wbe': there is"));
  EXPECT_THAT(route({"198.51.100.7", "--header", "Cookie"}).errors, HasSubstr("is no field of a request"));
}

}  // namespace
}  // namespace holdfast::test
