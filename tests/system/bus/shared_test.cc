// Pools that several machines have together, and topics that survive a gap.
#include <gtest/gtest.h>

#include <algorithm>

#include "system/bus/redis_fixture.h"

namespace holdfast::test {
namespace {

SupervisorPlan shared_machine(const std::string& redis, unsigned workers = 1) {
  SupervisorPlan plan = machine(redis);
  plan.workers = workers;
  plan.options.insert(plan.options.end(), {"--scope", "fleet"});
  return plan;
}

SupervisorPlan streaming_machine(const std::string& redis) {
  SupervisorPlan plan = machine(redis);
  // Longer than what is published while nobody reads: what is trimmed before is missed, as it must be.
  plan.options.insert(plan.options.end(),
                      {"--set", R"(bus.stream=["flood.**"])", "--set", "bus.stream-length=1000000"});
  return plan;
}

// As its members know it.
bool has_members(const Supervisor& supervisor, int count) {
  return ask(supervisor, "/members?pool=main").starts_with("status=" + std::to_string(count) + "\n");
}

std::string call(const Supervisor& supervisor, int key, const std::string& text) {
  return ask(supervisor, "/call?pool=main&key=room" + std::to_string(key) + "&ms=20000&m=" + text);
}

TEST(BusShared, AKeyBelongsToOneWorkerOfAllMachines) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
  const Redis redis(directory);
  const Supervisor oak(shared_machine(redis.url()));
  const Supervisor elm(shared_machine(redis.url()));
  oak.wait_until_serving();
  elm.wait_until_serving();
  ASSERT_TRUE(eventually([&] { return has_members(oak, 2) && has_members(elm, 2); }))
      << ask(oak, "/members?pool=main") << ask(elm, "/members?pool=main") << oak.errors();
  // Whoever hears it counts it: each of the two has its own keys, whichever of them is asked.
  const auto heard = [&](const Supervisor& one) { return number(one, "received"); };
  int of_oak = 0;
  for (int key = 0; key < 40; key++) {
    const std::uint64_t before = heard(oak);
    EXPECT_TRUE(call(oak, key, "hello").starts_with("status=0 slot 0 heard hello")) << key;
    const bool is_oaks = heard(oak) > before;
    EXPECT_TRUE(call(elm, key, "hello").starts_with("status=0 slot 0 heard hello")) << key;
    EXPECT_EQ(heard(oak) > before + (is_oaks ? 1 : 0), is_oaks) << "whoever asks";
    of_oak += is_oaks ? 1 : 0;
  }
  EXPECT_GT(of_oak, 5);
  EXPECT_LT(of_oak, 35);
  EXPECT_EQ(heard(oak) + heard(elm), 80u);
}

TEST(BusShared, AKeyBelongsToOneOfManyWorkersWhoeverAsks) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  constexpr int kKeys = 40;
  const TempDirectory directory;
  const Redis redis(directory);
  const Supervisor oak(shared_machine(redis.url(), 4));
  oak.wait_until_serving();
  ASSERT_TRUE(eventually([&] { return is_connected(oak) && has_members(oak, 4); }));
  std::vector<std::string> alone;
  for (int key = 0; key < kKeys; key++) alone.push_back(call(oak, key, "pid"));
  const auto is_oaks = [pids = oak.status().pids()](const std::string& answer) {
    return std::any_of(pids.begin(), pids.end(),
                       [&](pid_t pid) { return answer == "status=0 " + std::to_string(pid); });
  };
  {
    const Supervisor elm(shared_machine(redis.url(), 4));
    elm.wait_until_serving();
    ASSERT_TRUE(eventually([&] { return has_members(oak, 8) && has_members(elm, 8); }));
    int stayed = 0;
    for (int key = 0; key < kKeys; key++) {
      const std::string answer = call(oak, key, "pid");
      ASSERT_TRUE(answer.starts_with("status=0 ")) << answer;
      EXPECT_EQ(call(elm, key, "pid"), answer) << "key " << key << ": whoever asks";
      if (!is_oaks(answer)) continue;
      EXPECT_EQ(answer, alone[static_cast<std::size_t>(key)]) << "who has come takes only what is his";
      stayed++;
    }
    EXPECT_GT(stayed, 5);
    EXPECT_LT(stayed, 35);
  }
  ASSERT_TRUE(eventually([&] { return has_members(oak, 4); })) << "it falls silent";
  for (int key = 0; key < kKeys; key++) EXPECT_EQ(call(oak, key, "pid"), alone[static_cast<std::size_t>(key)]);
}

TEST(BusShared, LargeQuestionsAndAnswersCross) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
  const Redis redis(directory);
  const Supervisor oak(shared_machine(redis.url()));
  const Supervisor elm(shared_machine(redis.url()));
  oak.wait_until_serving();
  elm.wait_until_serving();
  ASSERT_TRUE(eventually([&] { return has_members(oak, 2) && has_members(elm, 2); }));
  int of_elm = 0;
  for (int key = 0; key < 12; key++) {
    const std::uint64_t before = number(elm, "received");
    const std::string query = "?pool=main&key=room" + std::to_string(key) + "&size=1000001";
    EXPECT_EQ(ask(oak, "/call" + query + "&ms=20000"), "status=0 1000001 bytes") << key;
    const bool is_elms = number(elm, "received") > before;
    of_elm += is_elms ? 1 : 0;
    EXPECT_EQ(ask(oak, "/send" + query), "status=0");
    EXPECT_TRUE(eventually([&] {
      return number(is_elms ? elm : oak, "received") ==
             static_cast<std::uint64_t>(2 * (is_elms ? of_elm : key + 1 - of_elm));
    })) << key;
  }
  EXPECT_GT(of_elm, 0) << "the test needs one that crosses";
  EXPECT_EQ(number(oak, "bad") + number(elm, "bad"), 0u);
  EXPECT_EQ(number(oak, "undelivered"), 0u);
}

TEST(BusShared, WhatIsSentToAMachineThatHasGoneIsServedHere) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
  const Redis redis(directory);
  const Supervisor oak(shared_machine(redis.url()));
  oak.wait_until_serving();
  {
    const Supervisor elm(shared_machine(redis.url()));
    elm.wait_until_serving();
    ASSERT_TRUE(eventually([&] { return has_members(oak, 2); }));
    // Its worker dies over a call: the one who has asked hears it from afar.
    int key = 0;
    while (key < 100) {
      const std::uint64_t before = number(elm, "received");
      (void)call(oak, key, "where");
      if (number(elm, "received") > before) break;
      key++;
    }
    EXPECT_TRUE(call(oak, key, "die").starts_with("status=-104")) << "ECONNRESET";
  }
  EXPECT_TRUE(eventually([&] { return has_members(oak, 1); })) << "it falls silent";
  for (int key = 0; key < 20; key++) EXPECT_TRUE(call(oak, key, "hello").starts_with("status=0")) << key;
}

TEST(BusStream, HasNoGapWhenRedisIsKilledAndRestarted) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
  Redis redis(directory, {"--appendonly", "yes", "--appendfsync", "always"});
  const Supervisor oak(streaming_machine(redis.url()));
  const Supervisor elm(streaming_machine(redis.url()));
  oak.wait_until_serving();
  elm.wait_until_serving();
  ASSERT_EQ(ask(elm, "/subscribe?p=flood.**"), "status=0");
  ASSERT_TRUE(eventually([&] { return is_fleet(oak, elm); }));
  (void)ask(oak, "/flood?t=flood.a&n=100");
  ASSERT_TRUE(eventually([&] { return number(elm, "received") == 100; })) << number(elm, "received");
  (void)ask(oak, "/flood?t=flood.a&n=20000");  // and in the middle of that
  redis.kill();
  ASSERT_TRUE(eventually([&] { return !is_connected(oak) && !is_connected(elm); }));
  ASSERT_TRUE(eventually([&] { return number(oak, "left") == 0; })) << "one flood at a time";
  (void)ask(oak, "/flood?t=flood.a&n=700");
  ASSERT_TRUE(eventually([&] { return fleet(oak, "waiting") >= 700; }));
  redis.start();
  EXPECT_TRUE(eventually([&] { return number(elm, "received") == 20800; })) << number(elm, "received");
  EXPECT_EQ(number(elm, "disorder"), 0u);
  EXPECT_EQ(number(elm, "gaps"), 0u);
  EXPECT_EQ(fleet(elm, "missing"), 0u);
  EXPECT_EQ(fleet(oak, "unsent"), 0u);
  EXPECT_TRUE(eventually([&] { return fleet(oak, "waiting") == 0; }));
}

TEST(BusStream, WhoComesLaterIsToldByItsOwnSupervisorWhatWasSaid) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
  const Redis redis(directory);
  const Supervisor oak(streaming_machine(redis.url()));
  oak.wait_until_serving();
  ASSERT_TRUE(eventually([&] { return is_connected(oak); }));
  (void)ask(oak, "/flood?t=flood.a&n=30");
  ASSERT_TRUE(eventually([&] { return fleet(oak, "sent") == 30 && fleet(oak, "waiting") == 0; }));
  SupervisorPlan plan = streaming_machine(redis.url());
  plan.options.insert(plan.options.end(), {"--set", R"(bus.retain={ "flood.**" = 10 })"});
  const Supervisor elm(plan);
  elm.wait_until_serving();
  ASSERT_TRUE(eventually([&] { return is_connected(elm); }));
  const auto retained = [&] {
    const auto status = nlohmann::json::parse(elm.ask("status").value_or(""), nullptr, false);
    return status.is_object() ? status["bus"].value("retained", 0) : 0;
  };
  ASSERT_TRUE(eventually([&] { return retained() == 10; })) << retained();
  ASSERT_EQ(ask(elm, "/subscribe?p=flood.**&after=0"), "status=0");
  EXPECT_TRUE(eventually([&] { return number(elm, "received") == 10; })) << number(elm, "received");
}

// A machine that starts before Redis does, as containers may.
TEST(BusStream, WhatWasSaidComesLateToWhoHasAskedForItEarly) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
  Redis redis(directory, {"--appendonly", "yes", "--appendfsync", "always"});
  {
    const Supervisor oak(streaming_machine(redis.url()));
    oak.wait_until_serving();
    (void)ask(oak, "/flood?t=flood.a&n=30");
    ASSERT_TRUE(eventually([&] { return fleet(oak, "sent") == 30 && fleet(oak, "waiting") == 0; }));
  }
  redis.kill();
  SupervisorPlan plan = streaming_machine(redis.url());
  plan.options.insert(plan.options.end(), {"--set", R"(bus.retain={ "**" = 10 })"});
  const Supervisor elm(plan);
  elm.wait_until_serving();
  ASSERT_EQ(ask(elm, "/subscribe?p=flood.**&after=0"), "status=0");
  ASSERT_EQ(ask(elm, "/say?t=flood.a&m=meanwhile"), "status=0");
  ASSERT_TRUE(eventually([&] { return number(elm, "received") == 1; }));
  redis.start();
  EXPECT_TRUE(eventually([&] { return number(elm, "received") == 10; })) << number(elm, "received");
  EXPECT_TRUE(eventually([&] { return is_connected(elm) && fleet(elm, "waiting") == 0; }));
  // What was said meanwhile is newer, and stays the last.
  ASSERT_EQ(ask(elm, "/unsubscribe?p=flood.**"), "status=0");
  ASSERT_EQ(ask(elm, "/say?t=flood.b&m=unheard"), "status=0");
  ASSERT_EQ(ask(elm, "/subscribe?p=flood.a&after=0"), "status=0");
  EXPECT_TRUE(eventually([&] { return number(elm, "received") == 20; })) << number(elm, "received");
  EXPECT_NE(ask(elm, "/stats").find("text=meanwhile\n"), std::string::npos);
}

// A server without memory, or whose disk is full, refuses what it would have to keep.
TEST(BusStream, WhatRedisRefusesWaitsAndIsTold) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
  const Redis redis(directory);
  const Supervisor oak(streaming_machine(redis.url()));
  const Supervisor elm(streaming_machine(redis.url()));
  oak.wait_until_serving();
  elm.wait_until_serving();
  ASSERT_EQ(ask(elm, "/subscribe?p=**"), "status=0");
  ASSERT_TRUE(eventually([&] { return is_fleet(oak, elm); }));
  ASSERT_EQ(redis.command({"config", "set", "maxmemory", "1"}).exit_code, 0);
  (void)ask(oak, "/flood?t=flood.a&n=50");
  oak.wait_until_told("Redis does not keep the messages of the stream: OOM");
  EXPECT_EQ(fleet(oak, "waiting"), 50u);
  EXPECT_TRUE(is_connected(oak)) << "all else goes on";
  EXPECT_EQ(ask(oak, "/say?t=other&m=hello"), "status=0");
  EXPECT_TRUE(eventually([&] { return number(elm, "received") == 1; })) << number(elm, "received");
  ASSERT_EQ(redis.command({"config", "set", "maxmemory", "0"}).exit_code, 0);
  EXPECT_TRUE(eventually([&] { return number(elm, "received") == 51; })) << number(elm, "received");
  EXPECT_EQ(fleet(elm, "missing"), 0u);
  EXPECT_TRUE(eventually([&] { return fleet(oak, "waiting") == 0; }));
}

TEST(BusSocketIo, AnEventReachesWhoeverListensToItsServers) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
  const Redis redis(directory);
  const Supervisor oak(machine(redis.url()));
  oak.wait_until_serving();
  ASSERT_TRUE(eventually([&] { return is_connected(oak); }));
  const Ran nobody = oak.tell("publish", {"--socketio", "/", "hi", "{\"a\":1}"});
  EXPECT_EQ(nobody.exit_code, 1);
  EXPECT_NE(nobody.errors.find("no server listens to socket.io#/#"), std::string::npos) << nobody.errors;
  ProcessPlan plan = redis.client({"psubscribe", "socket.io#/#*"});
  plan.output_file = directory / "heard";
  plan.error_file = directory / "heard.errors";
  const Process server(plan);
  EXPECT_TRUE(eventually([&] {
    return oak.tell("publish", {"--socketio", "/", "--room", "r1", "hi", "7"}).exit_code == 0;
  }));
  EXPECT_TRUE(eventually([&] { return text_of(plan.output_file).find("socket.io#/#r1#") != std::string::npos; }));
  EXPECT_EQ(oak.tell("publish", {"--socketio", "/", "hi", "{"}).exit_code, 2);
  EXPECT_EQ(oak.tell("publish", {"--room", "r1", "hi"}).exit_code, 2) << "there are rooms only there";
}

// It would have to be kept by Redis. It stays on its machine, and the others know that there was one; elsewhere it crosses.
TEST(BusStream, WhatIsTooLargeForTheStreamIsCounted) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
  const Redis redis(directory);
  const Supervisor oak(streaming_machine(redis.url()));
  const Supervisor elm(streaming_machine(redis.url()));
  oak.wait_until_serving();
  elm.wait_until_serving();
  for (const Supervisor* supervisor : {&oak, &elm}) ASSERT_EQ(ask(*supervisor, "/subscribe?p=**"), "status=0");
  ASSERT_TRUE(eventually([&] { return is_fleet(oak, elm); }));
  (void)ask(oak, "/flood?t=flood.a&n=10");  // of the stream
  ASSERT_TRUE(eventually([&] { return number(elm, "received") == 10; }));
  EXPECT_EQ(ask(oak, "/large?t=flood.large&size=65537"), "status=0");
  EXPECT_EQ(ask(oak, "/large?t=other.large&size=65537"), "status=0");
  ASSERT_TRUE(eventually([&] { return number(oak, "received") == 12; }));
  EXPECT_EQ(fleet(oak, "unsent"), 1u);
  (void)ask(oak, "/flood?t=flood.a&n=1");  // by which the stream tells
  EXPECT_TRUE(eventually([&] { return fleet(elm, "missing") == 1; })) << fleet(elm, "missing");
  EXPECT_TRUE(eventually([&] { return number(elm, "received") == 12; })) << number(elm, "received");
}

}  // namespace
}  // namespace holdfast::test
