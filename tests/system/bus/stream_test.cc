// Topics that survive a gap.
#include <gtest/gtest.h>

#include <string>

#include "system/bus/redis_fixture.h"

namespace holdfast::test {
namespace {

using BusStream = RedisTest;

SupervisorPlan streaming_machine(const std::string& redis) {
  SupervisorPlan plan = machine(redis);
  // Longer than what is published while nobody reads: what is trimmed before is missed, as it must be.
  plan.options.insert(plan.options.end(),
                      {"--set", R"(bus.stream=["flood.**"])", "--set", "bus.stream-length=1000000"});
  return plan;
}

TEST_F(BusStream, HasNoGapWhenRedisIsKilledAndRestarted) {
  Redis redis(directory, {"--appendonly", "yes", "--appendfsync", "always"});
  const Supervisor oak(streaming_machine(redis.url()));
  const Supervisor elm(streaming_machine(redis.url()));
  ASSERT_TRUE(meet(oak, elm)) << oak.errors();
  ASSERT_TRUE(subscribe(elm, "flood.**"));
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

TEST_F(BusStream, WhoComesLaterIsToldByItsOwnSupervisorWhatWasSaid) {
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
TEST_F(BusStream, WhatWasSaidComesLateToWhoHasAskedForItEarly) {
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
TEST_F(BusStream, WhatRedisRefusesWaitsAndIsTold) {
  const Redis redis(directory);
  const Supervisor oak(streaming_machine(redis.url()));
  const Supervisor elm(streaming_machine(redis.url()));
  ASSERT_TRUE(meet(oak, elm)) << oak.errors();
  ASSERT_TRUE(subscribe(elm, "**"));
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

// It would have to be kept by Redis. It stays on its machine, and the others know that there was one; elsewhere it crosses.
TEST_F(BusStream, WhatIsTooLargeForTheStreamIsCounted) {
  const Redis redis(directory);
  const Supervisor oak(streaming_machine(redis.url()));
  const Supervisor elm(streaming_machine(redis.url()));
  ASSERT_TRUE(meet(oak, elm)) << oak.errors();
  for (const Supervisor* supervisor : {&oak, &elm}) ASSERT_TRUE(subscribe(*supervisor, "**"));
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
