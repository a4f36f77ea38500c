// The inbox against real Node.js: programs that were written for `cluster`, for the sticky libraries and for Socket.IO
// take their connections from it, and none gets lost.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "component/node_station.h"
#include "support/process.h"
#include "support/temp_directory.h"
#include "sys/own_listeners.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using test::HttpClient;
using test::Response;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Addresses of this machine for which the two workers of a station take turns.
std::string source(unsigned number) { return "127.0.0." + std::to_string(2 + number); }

class NodeWorkers : public testing::Test {
 protected:
  void SetUp() override {
    if (const std::string missing = NodeStation::missing(); !missing.empty()) GTEST_SKIP() << missing;
  }
};

TEST_F(NodeWorkers, AClientKeepsItsWorkerAndEveryConnectionIsTakenUp) {
  NodeStation station({.script = {"workers/http.js", "3000"}});
  station.start_all();
  constexpr unsigned kClients = 40;
  std::set<pid_t> pids;
  for (int round = 0; round < 2; round++) {
    station.beside([&] {
      for (unsigned i = 0; i < kClients; i++) {
        HttpClient client(station.target(), source(i));
        for (int request = 0; request < 2; request++) {
          const std::optional<Response> response = client.get("/");
          ASSERT_TRUE(response) << name_of(client.ending());
          EXPECT_EQ(response->slot, static_cast<int>(station.worker_of(source(i))));
          EXPECT_THAT(response->body, HasSubstr("\"remote\":\"" + source(i) + "\""));
          pids.insert(response->pid);
        }
      }
    });
  }
  EXPECT_EQ(pids.size(), 2u);
  EXPECT_TRUE(station.run([&] { return station.taken() == 2 * kClients; }));
  EXPECT_EQ(station.waiting(), 0u);
}

TEST_F(NodeWorkers, EveryServerOfAWorkerHasItsListener) {
  const test::TempDirectory directory;
  const std::string path = directory / "app.sock";
  NodeStation station(
      {.script = {"workers/http.js", "3000", path, "0"}, .listen = {"127.0.0.1:0", "unix:" + path, "127.0.0.1:0"}});
  station.start_all();
  ASSERT_TRUE(station.run([&] {
    return station.worker(0).wrote("listening 2") && station.worker(1).wrote("listening 2");
  })) << station.said();
  for (std::size_t listener = 0; listener < 3; listener++) {
    const std::optional<Response> response = station.get("/", listener == 1 ? "" : "127.0.0.1", listener);
    ASSERT_TRUE(response) << listener << "\n" << station.said();
    EXPECT_EQ(response->listener, std::to_string(listener));
  }
  EXPECT_THAT(station.worker(0).output, HasSubstr("\"port\":3000")) << "it is told the port that it asked for";
  const std::string real = station.address(2).substr(station.address(2).rfind(':') + 1);
  EXPECT_THAT(station.worker(0).output, HasSubstr("\"port\":" + real)) << "or, where any would do, the real one";
}

TEST_F(NodeWorkers, ConnectionsOfAKilledWorkerAreServedByTheNext) {
  NodeStation station({.script = {"workers/http.js", "3000"}, .workers = 1});
  station.start_all();
  const pid_t first = station.worker(0).process->pid();
  ASSERT_EQ(::kill(first, SIGSTOP), 0);
  constexpr unsigned kClients = 30;
  std::vector<HttpClient> clients;
  for (unsigned i = 0; i < kClients; i++) {
    clients.emplace_back(station.target(), source(i));
    clients.back().send("/", "close");
  }
  ASSERT_TRUE(station.run([&] { return station.waiting() == kClients; }));
  EXPECT_FALSE(station.worker(0).inbox->unsent()) << "they are on their way to a process that does not read";
  ASSERT_EQ(::kill(first, SIGKILL), 0);
  ASSERT_TRUE(station.run([&] { return station.worker(0).ended.has_value(); }));
  EXPECT_EQ(station.waiting(), kClients);
  station.start(0);
  station.beside([&] {
    for (HttpClient& client : clients) {
      const std::optional<Response> response = client.receive();
      ASSERT_TRUE(response) << name_of(client.ending());
      EXPECT_NE(response->pid, first);
    }
  });
  EXPECT_TRUE(station.run([&] { return station.taken() == kClients; }));
}

TEST_F(NodeWorkers, AKillUnderLoadLosesOnlyWhatTheWorkerHadTakenUp) {
  NodeStation station({.script = {"workers/http.js", "3000"}, .workers = 1});
  station.start_all();
  unsigned answered = 0;
  unsigned cut = 0;
  std::atomic<unsigned> done = 0;
  auto load = std::async(std::launch::async, [&] {
    for (unsigned i = 0; i < 300; i++) {
      HttpClient client(station.target(), source(i % 100));
      if (client.get("/")) {
        answered++;
      } else {
        EXPECT_EQ(client.ending(), test::Ending::Reset);
        cut++;
      }
      done++;
    }
  });
  for (unsigned kill = 1; kill <= 3; kill++) {
    ASSERT_TRUE(station.run([&] { return done >= 60 * kill; }));
    station.worker(0).process->signal(SIGKILL);
    ASSERT_TRUE(station.run([&] { return station.worker(0).ended.has_value(); }));
    station.start(0);
  }
  ASSERT_TRUE(station.run([&] { return load.wait_for(0s) == std::future_status::ready; }));
  EXPECT_EQ(answered + cut, 300u);
  EXPECT_LE(cut, 3u) << "one client at a time: at most one in each dead worker's hands";
  EXPECT_TRUE(station.run([&] { return station.taken() == 300; })) << "each was taken up, and once";
}

TEST_F(NodeWorkers, ADrainedWorkerFinishesAndLeaves) {
  NodeStation station({.script = {"workers/http.js", "3000"}, .workers = 1});
  station.start_all();
  HttpClient idle(station.target());
  station.beside([&] { EXPECT_TRUE(idle.get("/")); });
  HttpClient slow(station.target());
  slow.send("/?wait=300", "close");
  ASSERT_TRUE(station.run([&] { return station.taken() == 2; }));
  HttpClient queued(station.target());  // sent before the drain, and served
  queued.send("/", "close");
  ASSERT_TRUE(station.run([&] { return station.accepted() == 3; }));
  station.worker(0).inbox->drain({station.loop.now() + 1h});
  station.beside([&] {
    EXPECT_TRUE(slow.receive()) << name_of(slow.ending());
    EXPECT_TRUE(queued.receive()) << name_of(queued.ending());
  });
  ASSERT_TRUE(station.run([&] { return station.worker(0).ended.has_value(); }));
  EXPECT_EQ(*station.worker(0).ended, ExitStatus{});
  EXPECT_FALSE(station.worker(0).leaves) << "it went as it was told";
  HttpClient late(station.target());
  late.send("/", "close");
  ASSERT_TRUE(station.run([&] { return station.waiting() == 1; }));
  station.start(0);
  station.beside([&] { EXPECT_TRUE(late.receive()); });
}

TEST_F(NodeWorkers, AReloadUnderLoadLosesNothing) {
  NodeStation station({.script = {"workers/http.js", "3000"}, .workers = 1});
  station.start_all();
  std::atomic<unsigned> done = 0;
  std::atomic<bool> enough = false;
  auto load = std::async(std::launch::async, [&] {
    for (unsigned i = 0; !enough; i++) {
      const std::optional<Response> response = test::get_once(station.target(), "/", source(i % 100));
      EXPECT_TRUE(response) << "request " << i;
      done++;
    }
  });
  for (int reload = 0; reload < 5; reload++) {
    const unsigned before = done;
    ASSERT_TRUE(station.run([&] { return done >= before + 20; }));
    station.worker(0).inbox->drain({station.loop.now() + 1h});
    ASSERT_TRUE(station.run([&] { return station.worker(0).ended.has_value(); })) << station.said();
    EXPECT_EQ(*station.worker(0).ended, ExitStatus{});
    station.start(0);
  }
  const unsigned before = done;
  ASSERT_TRUE(station.run([&] { return done >= before + 20; }));
  enough = true;
  ASSERT_TRUE(station.run([&] { return load.wait_for(0s) == std::future_status::ready; }));
  EXPECT_TRUE(station.run([&] { return station.taken() == done; }));
}

TEST_F(NodeWorkers, AWorkerMayDisconnectByItself) {
  NodeStation station({.script = {"workers/http.js", "3000"}, .workers = 1});
  station.start_all();
  EXPECT_TRUE(station.get("/disconnect"));
  ASSERT_TRUE(station.run([&] { return station.worker(0).ended.has_value(); }));
  EXPECT_EQ(*station.worker(0).ended, ExitStatus{});
  EXPECT_TRUE(station.worker(0).leaves);
  EXPECT_THAT(station.worker(0).garbage, IsEmpty());
}

TEST_F(NodeWorkers, AWorkerWithoutServersStopsAccepting) {
  NodeStation station({.script = {"workers/http.js", "3000"}, .workers = 1});
  station.start_all();
  EXPECT_TRUE(station.get("/close"));
  EXPECT_TRUE(station.run([&] { return !station.worker(0).accepts; }));
  HttpClient waits(station.target());
  waits.send("/", "close");
  ASSERT_TRUE(station.run([&] { return station.waiting() == 1; }));
  EXPECT_TRUE(station.worker(0).inbox->unsent());
  EXPECT_EQ(station.worker(0).inbox->take_back_some().size(), 1u) << "another worker may have it";
}

TEST_F(NodeWorkers, AServerThatIsFullGetsItsConnectionsWhenItHasRoom) {
  NodeStation station({.script = {"workers/http.js", "3000"}, .workers = 1});
  station.start_all();
  HttpClient first(station.target());
  station.beside([&] { EXPECT_TRUE(first.get("/full")); });
  HttpClient second(station.target());
  second.send("/", "close");
  ASSERT_TRUE(station.run([&] { return station.waiting() == 1 && station.worker(0).inbox->unsent(); }));
  EXPECT_EQ(station.taken(), 1u);
  first.close();
  station.beside([&] { EXPECT_TRUE(second.receive()) << name_of(second.ending()); });
}

TEST_F(NodeWorkers, AHungWorkerShowsAsSoonAsItOwesAnAnswer) {
  NodeStation station({.script = {"workers/http.js", "3000"}, .workers = 1});
  station.start_all();
  EXPECT_TRUE(station.get("/block"));
  const TimePoint later = station.loop.now() + 1h;
  EXPECT_EQ(station.worker(0).inbox->heartbeat(later), later) << "idle is not hung";
  HttpClient waits(station.target());
  waits.send("/", "close");
  ASSERT_TRUE(station.run([&] { return station.waiting() == 1; }));
  EXPECT_LT(station.worker(0).inbox->heartbeat(later), later - 30min);
  station.worker(0).process->signal(SIGKILL);
  ASSERT_TRUE(station.run([&] { return station.worker(0).ended.has_value(); }));
  station.start(0);
  station.beside([&] { EXPECT_TRUE(waits.receive()) << name_of(waits.ending()); });
}

TEST_F(NodeWorkers, AClientThatVanishesOnItsWayHarmsNobody) {
  NodeStation station({.script = {"workers/http.js", "3000"}, .workers = 1});
  station.start_all();
  ASSERT_EQ(::kill(station.worker(0).process->pid(), SIGSTOP), 0);
  for (unsigned i = 0; i < 10; i++) HttpClient(station.target(), source(i)).send("/");
  ASSERT_TRUE(station.run([&] { return station.accepted() == 10; }));
  ASSERT_EQ(::kill(station.worker(0).process->pid(), SIGCONT), 0);
  EXPECT_TRUE(station.get("/"));
  EXPECT_TRUE(station.run([&] { return station.taken() == 11; }));
}

TEST_F(NodeWorkers, ALargeBodyComesWhole) {
  NodeStation station({.script = {"workers/http.js", "3000"}, .workers = 1});
  station.start_all();
  const std::string body(3'000'000, 'b');
  const std::optional<Response> response = station.beside([&] {
    HttpClient client(station.target());
    client.send_raw("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    return client.receive();
  });
  ASSERT_TRUE(response);
  EXPECT_THAT(response->body, HasSubstr("\"received\":3000000"));
}

TEST_F(NodeWorkers, AServerThatIsRefusedGetsAnErrorAndWeKnowWhy) {
  NodeStation station({.script = {"workers/http.js", "3000", "3001", "udp"}, .workers = 1});
  station.start_all();
  ASSERT_TRUE(station.run([&] { return station.worker(0).wrote("error 2"); })) << station.said();
  EXPECT_THAT(station.worker(0).output, HasSubstr("error 1 EADDRNOTAVAIL"));
  EXPECT_THAT(station.worker(0).output, HasSubstr("error 2 ENOTSUP"));
  EXPECT_THAT(station.refused(), HasSubstr("server.listen(3001)"));
  EXPECT_THAT(station.refused(), HasSubstr("UDP"));
  EXPECT_TRUE(station.get("/")) << "the first serves";
}

TEST_F(NodeWorkers, TwoTlsServersShareTheKeysOfTheFirst) {
  NodeStation station({.script = {"workers/http.js", "https"}});
  station.start_all();
  EXPECT_THAT(station.worker(0).garbage, IsEmpty());
  EXPECT_THAT(station.worker(1).output, HasSubstr("listening 0"));
}

TEST_F(NodeWorkers, OneThatBindsByItselfIsNotReadyAndWeKnowWhy) {
  NodeStation station({.script = {"workers/http.js", "exclusive"}, .workers = 1});
  station.start(0);
  ASSERT_TRUE(station.run([&] { return station.worker(0).wrote("listening 0"); })) << station.said();
  EXPECT_FALSE(station.worker(0).ready);
  EXPECT_THAT(station.worker(0).inbox->why_not_ready(), HasSubstr("exclusive"));
  EXPECT_EQ(own_listeners(station.worker(0).process->pid()).size(), 1u) << "and where it listens";
}

TEST_F(NodeWorkers, WhatAProgramSaysReachesAnotherUnharmed) {
  NodeStation station({.script = {"workers/http.js", "3000"}});
  station.start_all();
  EXPECT_TRUE(station.get("/say", source(0)));
  const unsigned speaker = station.worker_of(source(0));
  ASSERT_TRUE(station.run([&] { return !station.worker(speaker).heard.empty(); }));
  const std::string text = station.worker(speaker).heard.front();
  NodeStation::Worker& other = station.worker(1 - speaker);
  EXPECT_TRUE(other.inbox->say(NodeSay{text}));
  EXPECT_TRUE(station.run([&] { return other.wrote("message " + text); })) << station.said();
}

class NodeAdvanced : public NodeWorkers {};

TEST_F(NodeAdvanced, AClusterProgramServesDrainsAndLeaves) {
  NodeStation station({.script = {"workers/http.js", "3000", "https"},
                       .workers = 1,
                       .listen = {"127.0.0.1:0", "127.0.0.1:0"},
                       .serialization = NodeSerialization::Advanced});
  station.start_all();
  ASSERT_TRUE(station.run([&] { return station.worker(0).wrote("listening 1"); })) << station.said();
  for (unsigned i = 0; i < 20; i++) EXPECT_TRUE(station.get("/", source(i))) << station.said();
  EXPECT_EQ(station.taken(), 20u);
  station.worker(0).inbox->drain({station.loop.now() + 1h});
  ASSERT_TRUE(station.run([&] { return station.worker(0).ended.has_value(); }));
  EXPECT_EQ(*station.worker(0).ended, ExitStatus{});
  EXPECT_THAT(station.worker(0).garbage, IsEmpty());
}

TEST_F(NodeAdvanced, WhatAServerIsRefusedForIsTold) {
  NodeStation station(
      {.script = {"workers/http.js", "3000", "3001"}, .workers = 1, .serialization = NodeSerialization::Advanced});
  station.start_all();
  EXPECT_TRUE(station.run([&] { return station.worker(0).wrote("error 1 EADDRNOTAVAIL"); })) << station.said();
}

TEST_F(NodeAdvanced, ManyConnectionsAtOnceAreAllTakenUp) {
  NodeStation station({.script = {"workers/http.js", "3000"}, .serialization = NodeSerialization::Advanced});
  station.start_all();
  constexpr unsigned kClients = 200;
  std::vector<HttpClient> clients;
  for (unsigned i = 0; i < kClients; i++) {
    clients.emplace_back(station.target(), source(i));
    clients.back().send("/", "close");
  }
  station.beside([&] {
    for (HttpClient& client : clients) EXPECT_TRUE(client.receive()) << name_of(client.ending());
  });
  EXPECT_TRUE(station.run([&] { return station.taken() == kClients; }));
}

TEST_F(NodeAdvanced, WhatAProgramSaysReachesAnotherUnharmed) {
  NodeStation station({.script = {"workers/http.js", "3000"}, .serialization = NodeSerialization::Advanced});
  station.start_all();
  EXPECT_TRUE(station.get("/say-bytes", source(0)));
  const unsigned speaker = station.worker_of(source(0));
  ASSERT_TRUE(station.run([&] { return !station.worker(speaker).heard.empty(); })) << station.said();
  NodeStation::Worker& other = station.worker(1 - speaker);
  EXPECT_TRUE(other.inbox->say(NodeSay{station.worker(speaker).heard.front()}));
  EXPECT_TRUE(station.run([&] { return other.wrote("bytes 3 map 1 date 0 itself true"); })) << station.said();
}

TEST_F(NodeAdvanced, AForkedChildTakesConnectionsByMessage) {
  NodeSession::Policy policy;
  policy.dialect = NodeDialect::Plain;
  policy.connection_message = R"({"take":["it",1.5,null]})";
  policy.say_shutdown = true;
  NodeStation station(
      {.script = {"workers/child.js"}, .workers = 1, .policy = policy, .serialization = NodeSerialization::Advanced});
  station.start_all();
  const std::optional<Response> response = station.get("/");
  ASSERT_TRUE(response) << station.said();
  EXPECT_THAT(response->body, HasSubstr(R"("message":{"take":["it",1.5,null]})"));
  station.worker(0).inbox->drain({station.loop.now() + 1h});
  ASSERT_TRUE(station.run([&] { return station.worker(0).ended.has_value(); }));
  EXPECT_THAT(station.worker(0).output, HasSubstr("message \"shutdown\""));
}

TEST_F(NodeWorkers, ReadinessByMessage) {
  NodeSession::Policy policy;
  policy.readiness = NodeSession::Readiness::Message;
  NodeStation station({.script = {"workers/http.js", "3000"}, .workers = 1, .policy = policy});
  station.start(0);
  EXPECT_TRUE(station.get("/ready")) << "a server that is open serves";
  EXPECT_TRUE(station.run([&] { return station.worker(0).ready; }));
}

TEST_F(NodeWorkers, AForkedChildTakesConnectionsByMessage) {
  NodeSession::Policy policy;
  policy.dialect = NodeDialect::Plain;
  policy.connection_message = R"({"take":"it"})";
  policy.say_shutdown = true;
  NodeStation station({.script = {"workers/child.js"}, .workers = 1, .policy = policy});
  station.start_all();
  const std::optional<Response> response = station.get("/");
  ASSERT_TRUE(response) << station.said();
  EXPECT_THAT(response->body, HasSubstr(R"("message":{"take":"it"})"));
  station.worker(0).inbox->drain({station.loop.now() + 1h});
  ASSERT_TRUE(station.run([&] { return station.worker(0).ended.has_value(); })) << "nothing keeps it alive";
  EXPECT_EQ(*station.worker(0).ended, ExitStatus{});
  EXPECT_THAT(station.worker(0).output, HasSubstr("message \"shutdown\""));
  EXPECT_THAT(station.worker(0).output, HasSubstr("disconnect"));
}

struct Library {
  const char* name;
  NodeDialect dialect;
  const char* shown;
  NodeSerialization serialization = NodeSerialization::Json;
};
void PrintTo(const Library& library, std::ostream* out) { *out << library.shown; }
class StickyLibraries : public testing::TestWithParam<Library> {
 protected:
  void SetUp() override {
    if (const std::string missing = NodeStation::missing(true); !missing.empty()) GTEST_SKIP() << missing;
  }
};

TEST_P(StickyLibraries, RunUnmodified) {
  NodeSession::Policy policy;
  policy.dialect = GetParam().dialect;
  NodeStation station(
      {.script = {"workers/sticky.js", GetParam().name}, .policy = policy, .serialization = GetParam().serialization});
  station.start_all();
  station.beside([&] {
    for (unsigned i = 0; i < 20; i++) {
      HttpClient client(station.target(), source(i));
      for (int request = 0; request < 2; request++) {
        const std::optional<Response> response = client.get("/");
        ASSERT_TRUE(response) << name_of(client.ending());
        EXPECT_EQ(response->slot, static_cast<int>(station.worker_of(source(i))));
      }
    }
  });
  EXPECT_TRUE(station.run([&] { return station.taken() == 20; }));
  station.worker(0).inbox->drain({station.loop.now() + 1h});
  EXPECT_TRUE(station.run([&] { return station.worker(0).ended.has_value(); })) << station.said();
  EXPECT_EQ(*station.worker(0).ended, ExitStatus{});
}

INSTANTIATE_TEST_SUITE_P(Of, StickyLibraries,
                         testing::Values(Library{"sticky-session", NodeDialect::StickySession, "StickySession"},
                                         Library{"recipe", NodeDialect::StickySession0, "Recipe"},
                                         Library{"sticky-cluster", NodeDialect::StickyCluster, "StickyCluster"},
                                         Library{"sticky-cluster", NodeDialect::Auto, "StickyClusterByItsServer"},
                                         Library{"sticky-listen", NodeDialect::StickyListen, "StickyListen"},
                                         Library{"sticky-listen", NodeDialect::StickyListen, "StickyListenAdvanced",
                                                 NodeSerialization::Advanced}),
                         [](const auto& instance) { return instance.param.shown; });

struct Transport {
  const char* name;
  NodeSerialization serialization;
};
void PrintTo(const Transport& transport, std::ostream* out) { *out << transport.name; }
class SocketIo : public testing::TestWithParam<Transport> {
 protected:
  void SetUp() override {
    if (const std::string missing = NodeStation::missing(true); !missing.empty()) GTEST_SKIP() << missing;
  }
};

TEST_P(SocketIo, ServesItsClientsFromTwoWorkers) {
  NodeSession::Policy policy;
  policy.dialect = NodeDialect::SocketIo;
  NodeStation station({.script = {"workers/socketio.js"}, .policy = policy, .serialization = GetParam().serialization});
  station.start_all();
  const test::Ran ran = station.beside([&] {
    return test::run({"node", test::source_file("tests/interop/node/clients/socketio.js"),
                      "http://" + station.address(), "8", GetParam().name, "2", "kill",
                      GetParam().serialization == NodeSerialization::Json ? "json" : "advanced"});
  });
  EXPECT_EQ(ran.exit_code, 0) << ran.output << ran.errors << station.said();
}

INSTANTIATE_TEST_SUITE_P(Over, SocketIo,
                         testing::Values(Transport{"polling", NodeSerialization::Json},
                                         Transport{"websocket", NodeSerialization::Json},
                                         Transport{"upgrade", NodeSerialization::Json},
                                         Transport{"upgrade", NodeSerialization::Advanced}),
                         [](const auto& instance) {
                           const bool json = instance.param.serialization == NodeSerialization::Json;
                           return std::string(instance.param.name) + (json ? "" : "_advanced");
                         });

}  // namespace
}  // namespace holdfast
