// The bus when the supervisor becomes another program: workers keep their places, and what waits for them comes along.
#include <signal.h>

#include "system/bus/bus_fixture.h"
#include "system/bus/redis_fixture.h"

namespace holdfast::test {
namespace {

void upgrade(const Supervisor& supervisor) {
  const Ran ran = supervisor.tell("upgrade", {"--wait"});
  ASSERT_EQ(ran.exit_code, 0) << ran.errors;
}

// So much that the channel of a worker that does not read cannot hold it.
constexpr std::uint64_t kFlood = 40000;

TEST(BusUpgrade, WorkersPublishAndHearOnWithoutAGap) {
  BusFixture fixture(3, {"--bus-queue", "4000000"});
  fixture.subscribe_all("flood.**");
  const std::vector<pid_t> before = fixture.supervisor().status().pids();
  const std::uint64_t each = 20000 / kSlowness;
  constexpr std::uint64_t kRounds = 5;
  for (std::uint64_t round = 1; round <= kRounds; round++) {
    for (const int slot : {0, 1}) (void)fixture.ask(slot, "/flood?t=flood.a&n=" + std::to_string(each));
    upgrade(fixture.supervisor());  // in the midst of it
    for (int slot = 0; slot < 3; slot++) {
      EXPECT_TRUE(eventually([&] { return fixture.number(slot, "received") == 2 * each * round; }))
          << "slot " << slot << " received " << fixture.number(slot, "received") << " of " << 2 * each * round;
      EXPECT_EQ(fixture.number(slot, "gaps"), 0u);
      EXPECT_EQ(fixture.number(slot, "disorder"), 0u);
      EXPECT_EQ(fixture.number(slot, "lost"), 0u);
    }
  }
  EXPECT_EQ(fixture.bus("published"), kRounds * 2 * each);
  EXPECT_EQ(fixture.bus("delivered"), kRounds * 6 * each);
  EXPECT_EQ(fixture.number(2, "last_sequence"), kRounds * 2 * each) << "numbers go on where they were";
  EXPECT_EQ(fixture.supervisor().status().pids(), before);
}

TEST(BusUpgrade, WhatWaitsForAWorkerIsCarried) {
  BusFixture fixture(2, {"--bus-queue", "4000000", "--heartbeat-timeout", "0"});
  fixture.subscribe_all("**");
  const pid_t stopped = fixture.supervisor().status().slot(1).pid;
  send_signal(stopped, SIGSTOP);
  (void)fixture.ask(0, "/flood?t=flood.a&n=" + std::to_string(kFlood));
  EXPECT_EQ(fixture.ask(0, "/large?t=big&size=3000000"), "status=0");
  ASSERT_TRUE(eventually([&] { return fixture.number(0, "received") == kFlood + 1; }));
  const std::uint64_t waiting = fixture.waiting(1);
  ASSERT_GT(waiting, 0u) << "the test must fill the channel";
  for (int i = 0; i < 3; i++) upgrade(fixture.supervisor());
  EXPECT_EQ(fixture.waiting(1), waiting);
  send_signal(stopped, SIGCONT);
  EXPECT_TRUE(eventually([&] { return fixture.number(1, "received") == kFlood + 1; })) << fixture.number(1, "received");
  EXPECT_EQ(fixture.number(1, "gaps"), 0u);
  EXPECT_EQ(fixture.number(1, "lost"), 0u);
  EXPECT_EQ(fixture.number(1, "bad"), 0u) << "the large one is whole";
}

TEST(BusUpgrade, WhatWasDroppedIsToldByTheNextProgram) {
  BusFixture fixture(2, {"--bus-queue", "64", "--heartbeat-timeout", "0"});
  fixture.subscribe_all("flood.*");
  const pid_t stopped = fixture.supervisor().status().slot(1).pid;
  send_signal(stopped, SIGSTOP);
  (void)fixture.ask(0, "/flood?t=flood.a&n=" + std::to_string(kFlood));
  ASSERT_TRUE(eventually([&] { return fixture.number(0, "received") + fixture.number(0, "lost") == kFlood; }));
  const std::uint64_t dropped = fixture.bus("dropped");
  ASSERT_GT(dropped, 0u);
  upgrade(fixture.supervisor());
  EXPECT_EQ(fixture.bus("dropped"), dropped);
  send_signal(stopped, SIGCONT);
  EXPECT_TRUE(eventually([&] { return fixture.number(1, "received") + fixture.number(1, "lost") == kFlood; }))
      << fixture.number(1, "received") << " and " << fixture.number(1, "lost");
}

TEST(BusUpgrade, CallsAreAnsweredOrEndInTime) {
  BusFixture fixture(2, {"--heartbeat-timeout", "0"});
  int key = 0;
  const auto path = [&](const std::string& text, int ms) {
    return "/call?pool=main&key=k" + std::to_string(key) + "&m=" + text + "&ms=" + std::to_string(ms);
  };
  while (key < 100 && fixture.ask(0, path("where", 60000)) != "status=0 slot 1 heard where") key++;
  const pid_t callee = fixture.supervisor().status().slot(1).pid;
  send_signal(callee, SIGSTOP);
  HttpClient waits(fixture.supervisor().target(), fixture.source(0));
  waits.send(path("hello", 600000));
  HttpClient ends(fixture.supervisor().target(), fixture.source(0));
  ends.send(path("silent", 1500));
  ASSERT_TRUE(eventually([&] { return fixture.bus("calls") >= 1; }));
  upgrade(fixture.supervisor());
  const std::optional<Response> ended = ends.receive();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->body, "status=-110 ");
  send_signal(callee, SIGCONT);
  const std::optional<Response> answered = waits.receive();
  ASSERT_TRUE(answered);
  EXPECT_EQ(answered->body, "status=0 slot 1 heard hello");
  EXPECT_EQ(fixture.bus("calls"), 0u);
}

TEST(BusUpgrade, WhatIsKeptIsStillKeptAndTheDeadLeave) {
  BusFixture fixture(2, {"--set", "bus.retain={ \"flood.**\" = 500 }"});
  fixture.subscribe_all("flood.**");
  (void)fixture.ask(0, "/flood?t=flood.a&n=1000");
  ASSERT_TRUE(eventually([&] { return fixture.number(1, "received") == 1000; }));
  const pid_t before = fixture.supervisor().status().slot(1).pid;
  upgrade(fixture.supervisor());
  EXPECT_EQ(fixture.bus("retained"), 500u);
  EXPECT_EQ(fixture.bus("subscriptions"), 2u);
  ::kill(before, SIGKILL);
  fixture.supervisor().wait_until("the killed worker has a successor", [&](const StatusView& view) {
    return view.slot(1).pid > 0 && view.slot(1).pid != before && view.slot(1).state == "serving";
  });
  EXPECT_EQ(fixture.bus("subscriptions"), 1u) << "its subscription has ended with it";
  ASSERT_EQ(fixture.ask(1, "/subscribe?p=flood.**&after=0"), "status=0");
  EXPECT_TRUE(eventually([&] { return fixture.number(1, "received") == 500; })) << fixture.number(1, "received");
  EXPECT_EQ(fixture.ask(0, "/say?t=flood.b&m=on"), "status=0");
  EXPECT_TRUE(eventually([&] { return fixture.stats(1)["text"] == "on"; }));
}

TEST(BusUpgrade, AReplayGoesOn) {
  BusFixture fixture(2, {"--set", "bus.retain={ \"flood.**\" = 40000 }", "--heartbeat-timeout", "0"});
  (void)fixture.ask(0, "/flood?t=flood.a&n=" + std::to_string(kFlood));
  ASSERT_TRUE(eventually([&] { return fixture.bus("retained") == kFlood; })) << fixture.bus("retained");
  const pid_t stopped = fixture.supervisor().status().slot(1).pid;
  ASSERT_EQ(fixture.ask(1, "/subscribe?p=flood.**&after=0"), "status=0");
  send_signal(stopped, SIGSTOP);  // wherever it is
  ASSERT_TRUE(eventually([&] { return fixture.bus("subscriptions") == 1; }));
  upgrade(fixture.supervisor());
  (void)fixture.ask(0, "/flood?t=flood.b&n=1000");
  send_signal(stopped, SIGCONT);
  EXPECT_TRUE(eventually([&] { return fixture.number(1, "received") == kFlood + 1000; }))
      << fixture.number(1, "received");
  EXPECT_EQ(fixture.number(1, "gaps"), 0u);
  EXPECT_EQ(fixture.number(1, "disorder"), 0u);
  EXPECT_EQ(fixture.number(1, "lost"), 0u);
}

TEST(BusUpgrade, OtherMachinesKnowWhatTheyMissed) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
  const Redis redis(directory);
  const Supervisor oak(machine(redis.url()));
  const Supervisor elm(machine(redis.url()));
  oak.wait_until_serving();
  elm.wait_until_serving();
  for (const Supervisor* supervisor : {&oak, &elm}) ASSERT_EQ(ask(*supervisor, "/subscribe?p=flood.**"), "status=0");
  ASSERT_TRUE(eventually([&] { return is_fleet(oak, elm); }));
  const std::uint64_t each = 20000 / kSlowness;
  for (const Supervisor* supervisor : {&oak, &elm})
    (void)ask(*supervisor, "/flood?t=flood.a&n=" + std::to_string(each));
  upgrade(oak);
  ASSERT_TRUE(eventually([&] { return is_fleet(oak, elm) && is_connected(oak); }));
  // What a machine has not got from the other it counts as missing.
  for (const Supervisor* supervisor : {&oak, &elm}) {
    EXPECT_TRUE(eventually([&] { return fleet(*supervisor, "received") + fleet(*supervisor, "missing") == each; }))
        << fleet(*supervisor, "received") << " and " << fleet(*supervisor, "missing");
    EXPECT_TRUE(eventually([&] { return number(*supervisor, "received") == each + fleet(*supervisor, "received"); }));
    EXPECT_EQ(number(*supervisor, "disorder"), 0u);
  }
}

}  // namespace
}  // namespace holdfast::test
