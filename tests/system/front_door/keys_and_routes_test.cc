// Where a connection goes by its first bytes: the pool by routes, the slot by keys.
#include <gmock/gmock.h>

#include <algorithm>
#include <filesystem>

#include "support/eventually.h"
#include "system/front_door/proxied.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;

TEST(FrontDoorKeys, ACookieIsPlacedAlikeFromEverywhere) {
  const Supervisor supervisor(by_key("cookie(sid), remote-address"));
  supervisor.wait_until_serving();
  std::set<int> slots;
  for (int i = 0; i < 30; ++i) {
    const std::string bytes = request("/", "Cookie: a=b; sid=session-" + std::to_string(i) + "\r\n");
    const int slot = slot_of(supervisor, bytes, "127.0.0.1");
    EXPECT_EQ(slot_of(supervisor, bytes, "127.0.3.7"), slot) << i;
    slots.insert(slot);
  }
  EXPECT_EQ(slots.size(), 4u);
  // Without one it is the address.
  EXPECT_EQ(slot_of(supervisor, request("/"), "127.0.3.7"), supervisor.route("127.0.3.7"));
}

TEST(FrontDoorKeys, AHeadMayComeByteByByte) {
  const Supervisor supervisor(by_key("query(room), remote-address"));
  supervisor.wait_until_serving();
  const std::string bytes = request("/chat?room=7");
  const int slot = slot_of(supervisor, bytes);
  HttpClient client(supervisor.target(), "127.0.0.2");
  for (const char byte : bytes) client.send_raw({&byte, 1});
  const auto answer = told(client);
  ASSERT_TRUE(answer) << name_of(client.ending());
  EXPECT_EQ((*answer)["slot"], slot);
}

TEST(FrontDoorKeys, ATaggedSessionGoesStraightToItsSlot) {
  const Supervisor supervisor(by_key("tagged(query(sid)), remote-address"));
  supervisor.wait_until_serving();
  for (int slot = 0; slot < 4; ++slot) {
    EXPECT_EQ(slot_of(supervisor, request("/?sid=8f3a~" + std::to_string(slot))), slot);
  }
  // A slot that there is not is no tag.
  EXPECT_EQ(slot_of(supervisor, request("/?sid=8f3a~77")), supervisor.route("127.0.0.1"));
}

TEST(FrontDoorKeys, WhatIsNoHttpIsPlacedByTheNextKeyAndCounted) {
  const Supervisor supervisor(by_key("cookie(sid), remote-address"));
  supervisor.wait_until_serving();
  HttpClient client(supervisor.target());
  client.send_raw("\x01\x02 this is another protocol\r\n\r\n");
  const StatusView status =
      supervisor.wait_until("a worker has it", [](const StatusView& view) { return view.handed == 1; });
  const auto json = nlohmann::json::parse(status.json);
  EXPECT_EQ(json["listeners"][0]["missing"]["not-http"], 1);
  EXPECT_EQ(status.slot(static_cast<unsigned>(supervisor.route("127.0.0.1"))).handed, 1u);
}

TEST(FrontDoorKeys, AHeadThatNeverEndsIsPlacedByTheNextKeyAndCounted) {
  const Supervisor supervisor(by_key("cookie(sid), remote-address"));
  supervisor.wait_until_serving();
  HttpClient client(supervisor.target());
  client.send_raw("GET / HTTP/1.1\r\nX: " + std::string(20'000, 'x'));
  const StatusView status =
      supervisor.wait_until("a worker has it", [](const StatusView& view) { return view.handed == 1; });
  EXPECT_EQ(nlohmann::json::parse(status.json)["listeners"][0]["missing"]["head-too-large"], 1);
}

// |crc32| of the text, as Pomelo's dispatcher computes it, mod 4.
TEST(FrontDoorPlacement, Crc32IsPomelos) {
  const Supervisor supervisor(by_key("query(uid), remote-address", {"--placement", "crc32"}));
  supervisor.wait_until_serving();
  const auto pomelo = [](const std::string& text) {
    std::uint32_t crc = 0xffffffff;
    for (const char c : text) {
      crc ^= static_cast<unsigned char>(c);
      for (int bit = 0; bit < 8; ++bit) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320U : 0);
    }
    const auto number = static_cast<std::int32_t>(~crc);
    return static_cast<int>(std::abs(static_cast<std::int64_t>(number)) % 4);
  };
  for (const std::string uid : {"1", "2", "alice", "bob", "carol", "10086", "player-77"}) {
    EXPECT_EQ(slot_of(supervisor, request("/?uid=" + uid)), pomelo(uid)) << uid;
  }
}

TEST(FrontDoorPlacement, RoundRobinGivesEachSlotItsWeight) {
  SupervisorPlan plan = passed("127.0.0.1:0", {"--placement", "round-robin", "--weights", "2,1,1"});
  plan.workers = 3;
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  std::map<int, int> shares;
  for (int i = 0; i < 40; ++i) ++shares[slot_of(supervisor, request("/"))];
  EXPECT_EQ(shares, (std::map<int, int>{{0, 20}, {1, 10}, {2, 10}}));
}

TEST(FrontDoorPlacement, LeastConnectionsFillsTheEmptiest) {
  SupervisorPlan plan = passed("127.0.0.1:0", {"--placement", "least-connections"});
  plan.workers = 3;
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  std::vector<HttpClient> open;
  std::map<int, int> shares;
  for (int i = 0; i < 12; ++i) {
    open.emplace_back(supervisor.target());
    const auto answer = open.back().get("/");
    ASSERT_TRUE(answer);
    ++shares[answer->slot];
  }
  EXPECT_EQ(shares, (std::map<int, int>{{0, 4}, {1, 4}, {2, 4}}));
}

// A slot over its bound passes new keys on, and keeps those that have a connection: which have, the kernel tells.
TEST(FrontDoorPlacement, AKeyWithAnOpenConnectionStaysWhereItIsWhenItsSlotIsOverItsBound) {
  SupervisorPlan plan = by_key("query(room), remote-address", {"--balance-factor", "110"});
  plan.workers = 2;
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  std::vector<HttpClient> open;
  const auto come = [&](const std::string& room) {
    open.emplace_back(supervisor.target());
    open.back().send_raw("GET /?room=" + room + " HTTP/1.1\r\nHost: test\r\n\r\n");
    const auto answer = told(open.back());
    EXPECT_TRUE(answer) << name_of(open.back().ending());
    return answer ? (*answer)["slot"].get<int>() : -1;
  };
  // One room only: each of its clients finds the others' slot, however many there are.
  const int home = come("lobby");
  for (int i = 0; i < 20; ++i) EXPECT_EQ(come("lobby"), home) << i;
  // Twenty other rooms: all of them go where there is room, also those whose first choice is the other slot.
  for (int i = 0; i < 15; ++i) EXPECT_NE(come("room-" + std::to_string(i)), home) << i;
  // When its last connection has been closed the room is as good as new: its slot is over its bound by another room.
  const auto close_all = [&] {
    open.clear();
    supervisor.wait_until("all are closed",
                          [](const StatusView& status) { return status.slot(0).open + status.slot(1).open == 0; });
  };
  close_all();
  std::string other = "other-0";
  for (int i = 1; come(other) != home; ++i) {
    close_all();
    other = "other-" + std::to_string(i);
  }
  for (int i = 0; i < 10; ++i) EXPECT_EQ(come(other), home) << i;
  EXPECT_NE(come("lobby"), home);
}

// One slot alone has no other that idles; what comes while there is only one counts for nothing later.
TEST(FrontDoorPlacement, AKeyThatIsTooHeavyForOneSlotIsToldOnce) {
  constexpr int kHeavy = 600;
  SupervisorPlan plan = by_key("query(room), remote-address");
  plan.workers = 1;
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  const std::string told = "more than 30 % of the last 2000 connections have one key";
  const auto come = [&](int times) {
    for (int i = 0; i < times; ++i) ASSERT_GE(slot_of(supervisor, request("/?room=lobby")), 0);
  };
  come(kHeavy + 1);
  const Ran ran = supervisor.tell("scale", {"2", "--wait"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  come(kHeavy);
  EXPECT_THAT(supervisor.errors(), testing::Not(HasSubstr(told)));
  come(1);
  supervisor.wait_until_told(told);
  EXPECT_THAT(supervisor.errors(), HasSubstr("balance-factor"));
}

TEST(FrontDoorPlacement, WeightsAreSharesOfTheBuckets) {
  SupervisorPlan plan = passed("127.0.0.1:0", {"--weights", "3,1"});
  const Supervisor supervisor(plan);
  const StatusView status = supervisor.wait_until_serving();
  EXPECT_EQ(status.slot(0).buckets, 384u);
  EXPECT_EQ(status.slot(1).buckets, 128u);
}

class FrontDoorRoutes : public testing::Test {
 protected:
  // Pool web, and what `routes` say; the listener is HTTP's.
  std::unique_ptr<Supervisor> start(const std::string& routes, const std::string& more = "") {
    const std::string worker = "intake = \"sdk\"\nworkers = 2\ncommand = [\"" + whoami_program() + "\"]\n";
    write_text(file_, "[supervisor]\nname = \"routes\"\n[listeners.http]\naddress = \"127.0.0.1:0\"\n" + more +
                          "routes = [\n" + routes + "]\n[pools.web]\n" + worker + "[pools.chat]\n" + worker);
    return std::make_unique<Supervisor>(plan_of_file(file_));
  }
  [[nodiscard]] Ran check(const std::string& routes) {
    write_text(file_, "[listeners.http]\naddress = \":8080\"\nroutes = [\n" + routes +
                          "]\n[pools.web]\nintake = \"sdk\"\ncommand = [\"true\"]\n[pools.chat]\nintake = "
                          "\"sdk\"\ncommand = [\"true\"]\n");
    return run({holdfast_program(), "check", "-c", file_});
  }
  static std::uint64_t handed(const StatusView& status, const std::string& pool) {
    std::uint64_t sum = 0;
    const auto json = nlohmann::json::parse(status.json);
    for (const auto& each : json["pools"]) {
      if (each["name"] != pool) continue;
      for (const auto& slot : each["slots"]) sum += slot["handed"].get<std::uint64_t>();
    }
    return sum;
  }
  static bool all_serve(const StatusView& status) {
    const auto json = nlohmann::json::parse(status.json);
    for (const auto& pool : json["pools"]) {
      for (const auto& slot : pool["slots"]) {
        if (slot["state"] != "serving") return false;
      }
    }
    return true;
  }

  TempDirectory directory_;
  std::string file_ = directory_ / "routes.toml";
};

TEST_F(FrontDoorRoutes, TheFirstBytesChooseThePool) {
  const auto supervisor = start(R"(
  { when = { websocket = true }, pool = "chat" },
  { when = { path-prefix = "/socket.io/" }, pool = "chat" },
  { when = { host = "ws.*" }, pool = "chat" },
  { when = { header = "X-Blocked" }, refuse = true },
)");
  supervisor->wait_until("all serve", all_serve);
  const auto ask = [&](const std::string& bytes) {
    HttpClient client(supervisor->target());
    client.send_raw(bytes);
    return client.receive().has_value();
  };
  const std::string upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
  EXPECT_TRUE(ask("GET / HTTP/1.1\r\nHost: a\r\n" + upgrade + "\r\n"));
  EXPECT_TRUE(ask(request("/socket.io/?EIO=4")));
  EXPECT_TRUE(ask("GET / HTTP/1.1\r\nHost: WS.example\r\n\r\n"));
  EXPECT_TRUE(ask(request("/")));
  EXPECT_TRUE(ask(request("/socket.iox")));
  EXPECT_FALSE(ask(request("/", "X-Blocked: 1\r\n")));
  const StatusView status = supervisor->wait_until_settled();
  EXPECT_EQ(handed(status, "chat"), 3u);
  EXPECT_EQ(handed(status, "web"), 2u);
  EXPECT_EQ(status.refused.at("route"), 1u);
  ASSERT_EQ(status.listeners.size(), 1u) << "a listener with two accounts is told as two";
  EXPECT_EQ(status.listeners[0].accepted, 6u);
}

// Of www.example.com, with h2 and http/1.1, as openssl s_client writes it.
TEST_F(FrontDoorRoutes, TheHelloOfTlsChoosesThePoolToo) {
  const std::string hello = text_of(source_file("tests/fuzz/tls_hello_corpus/openssl"));
  for (const std::string when : {"sni = \"*.example.com\"", "alpn = \"h2\""}) {
    const auto supervisor =
        start("{ when = { sni = \"*.test\" }, refuse = true },\n{ when = { " + when + " }, pool = \"chat\" },\n");
    supervisor->wait_until("all serve", all_serve);
    HttpClient client(supervisor->target());
    client.send_raw(hello.substr(0, 40));
    supervisor->wait_until("it waits", [](const StatusView& status) { return status.waiting == 1; });
    client.send_raw(hello.substr(40));
    supervisor->wait_until(when, [](const StatusView& status) { return handed(status, "chat") == 1; });
  }
}

TEST_F(FrontDoorRoutes, WhoIsRefusedByARouteMayBeToldSo) {
  const auto supervisor = start(R"(
  { when = { path-prefix = "/private" }, refuse = true },
  { when = { websocket = true }, pool = "chat" },
)",
                                "refusal = \"http\"\n");
  supervisor->wait_until("all serve", all_serve);
  HttpClient client(supervisor->target());
  const auto answer = client.get("/private/x");
  ASSERT_TRUE(answer) << name_of(client.ending());
  EXPECT_EQ(answer->code, 403);
  EXPECT_EQ(supervisor->wait_until_settled().refused.at("route"), 1u);
}

TEST_F(FrontDoorRoutes, AListenersWorkersKnowItByItsNameInEveryPool) {
  const auto supervisor = start("{ when = { source = [\"127.0.9.0/24\"] }, pool = \"chat\" },\n");
  supervisor->wait_until("all serve", all_serve);
  for (const std::string source : {"127.0.0.1", "127.0.9.1"}) {
    const auto answer = get_once(supervisor->target(), "/", source);
    ASSERT_TRUE(answer) << source;
    EXPECT_EQ(answer->listener, "http");
  }
  EXPECT_EQ(handed(supervisor->wait_until_settled(), "chat"), 1u);
}

class MovingRoutes : public FrontDoorRoutes {
 protected:
  // The workers of chat wait with their start while there is a file "hold".
  void write(const std::string& address) const {
    const std::string worker = "intake = \"sdk\"\nworkers = 1\nstart-timeout = \"1h\"\ncommand = ";
    write_text(file_, "[supervisor]\nname = \"moving\"\n[listeners.http]\naddress = \"" + address +
                          "\"\nroutes = [{ when = { path-prefix = \"/chat\" }, pool = \"chat\" }]\n[pools.web]\n" +
                          worker + "[\"" + whoami_program() + "\"]\n[pools.chat]\n" + worker +
                          "[\"sh\", \"-c\", \"while [ -e " + hold_ + " ]; do sleep 0.02; done; exec " +
                          whoami_program() + "\"]\n");
  }
  [[nodiscard]] std::unique_ptr<Supervisor> start_at(const std::string& address) const {
    write(address);
    return start();
  }
  [[nodiscard]] std::unique_ptr<Supervisor> start() const {
    auto supervisor = std::make_unique<Supervisor>(plan_of_file(file_));
    supervisor->wait_until("all serve", all_serve);
    return supervisor;
  }
  std::string hold_ = directory_ / "hold";
};

// Nothing of it stays behind: no account in other pools, no door with its descriptors.
TEST_F(MovingRoutes, AListenerThatMovesLeavesNothingBehind) {
  const auto supervisor = start_at("127.0.0.2:0");
  const auto move_to = [&](const std::string& address) {
    write(address);
    const Ran ran = supervisor->tell("reload", {"--wait"});
    ASSERT_EQ(ran.exit_code, 0) << ran.errors;
    const auto is_alone = [](const StatusView& status) { return status.listeners.size() == 1; };
    supervisor->wait_until("the old address is told of no more", is_alone);
    HttpClient client(supervisor->target());
    const auto answer = client.get("/chat");
    ASSERT_TRUE(answer) << name_of(client.ending());
    EXPECT_EQ(answer->listener, "http");
  };
  const auto descriptors = [&] {
    supervisor->wait_until_nobody_asks();
    return descriptors_of(supervisor->pid()).size();
  };
  move_to("127.0.0.3:0");
  supervisor->wait_until_settled();
  const auto before = descriptors();
  for (int i = 4; i < 8; ++i) move_to("127.0.0." + std::to_string(i) + ":0");
  EXPECT_TRUE(eventually([&] { return descriptors() == before; })) << descriptors() << " and were " << before;
  supervisor->wait_until("the old workers have left", [](const StatusView& status) {
    return std::all_of(status.slots.begin(), status.slots.end(),
                       [](const SlotView& slot) { return slot.others.empty(); });
  });
}

TEST_F(MovingRoutes, AListenerComesWhenTheWorkersOfAllItsPoolsKnowIt) {
  const auto supervisor = start_at("127.0.0.2:0");
  write_text(hold_, "");
  write("127.0.0.3:0");
  ASSERT_EQ(supervisor->tell("reload").exit_code, 0);
  const StatusView status = supervisor->wait_until("the workers of web know it", [](const StatusView& view) {
    return view.slot(0).generation == 2 && view.slot(0).state == "serving" && view.slot(0).others.empty();
  });
  const auto moved = std::find_if(status.listeners.begin(), status.listeners.end(), [](const ListenerView& listener) {
    return listener.address.starts_with("127.0.0.3:");
  });
  ASSERT_NE(moved, status.listeners.end());
  HttpClient client(endpoint(moved->address));
  client.send("/chat");
  EXPECT_TRUE(moved->paused);
  std::filesystem::remove(hold_);
  const auto answer = client.receive();
  ASSERT_TRUE(answer) << name_of(client.ending());
  EXPECT_EQ(answer->listener, "http") << "else a worker has it that was never told of the listener";
}

TEST_F(MovingRoutes, AListenerOfANewPoolComesWhenTheWorkersOfTheOthersKnowItToo) {
  write("127.0.0.3:0");
  const std::string whole = text_of(file_);
  const std::size_t http = whole.find("[listeners.http]"), chat = whole.find("[pools.chat]");
  const std::string begin = whole.substr(0, http) + "[listeners.talk]\naddress = \"127.0.0.2:0\"\npool = \"chat\"\n";
  write_text(file_, begin + whole.substr(chat));
  const auto supervisor = start();
  write_text(hold_, "");
  write_text(file_, begin + whole.substr(http));
  ASSERT_EQ(supervisor->tell("reload").exit_code, 0);
  supervisor->wait_until_told("web/0: pid");  // it is ready; that of chat waits
  const StatusView status = supervisor->status();
  const auto came = std::find_if(status.listeners.begin(), status.listeners.end(),
                                 [](const ListenerView& listener) { return listener.name == "http"; });
  ASSERT_NE(came, status.listeners.end());
  HttpClient client(endpoint(came->address));
  client.send("/chat");
  EXPECT_TRUE(came->paused);
  std::filesystem::remove(hold_);
  const auto answer = client.receive();
  ASSERT_TRUE(answer) << name_of(client.ending());
  EXPECT_EQ(answer->listener, "http");
}

TEST_F(FrontDoorRoutes, RoutesGoByTheClientBehindTheProxy) {
  const auto supervisor = start("{ when = { source = [\"203.0.113.0/24\"] }, pool = \"chat\" },\n",
                                "proxy-protocol = { optional-from = [\"127.0.0.0/8\"] }\n");
  supervisor->wait_until("all serve", all_serve);
  HttpClient client(supervisor->target());
  client.send_raw(header_v1("TCP4 203.0.113.7 192.0.2.1 4000 443") + request("/"));
  ASSERT_TRUE(told(client));
  EXPECT_EQ(handed(supervisor->wait_until_settled(), "chat"), 1u);
}

TEST_F(FrontDoorRoutes, WhatIsWrongWithThemIsToldWhereItStands) {
  const Ran ran = check(R"(  { when = { websocket = true }, pool = "chat" },
  { when = { websocket = true, host = "a" }, pool = "web" },
  { when = { host = "b" }, pool = "chta" },
  { when = { path-prefix = "x" }, refuse = true },
)");
  EXPECT_EQ(ran.exit_code, 78);
  EXPECT_THAT(ran.errors + ran.output, HasSubstr("routes.toml:5:3: route 2 of listener 'http': it is never reached"));
  EXPECT_THAT(ran.errors + ran.output,
              HasSubstr("routes.toml:6:3: route 3 of listener 'http': there is no pool 'chta'"));
  EXPECT_THAT(ran.errors + ran.output, HasSubstr("routes.toml:7:3: route 4 of listener 'http': it can never hold"));
}

TEST_F(FrontDoorRoutes, ASlipOfThePenIsToldWhereItStands) {
  const Ran ran = check(R"(  { when = { websocket = true }, pool = "chat" },
  { when = { hots = "a" }, pool = "web" },
)");
  EXPECT_EQ(ran.exit_code, 78);
  EXPECT_THAT(ran.errors + ran.output,
              HasSubstr("routes.toml:5:3: routes: unknown key hots in when, did you mean 'host'?"));
}

}  // namespace
}  // namespace holdfast::test
