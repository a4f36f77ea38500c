// A real Redis that goes, hangs, or does not take what it is told.
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <string>

#include "system/bus/redis_fixture.h"

namespace holdfast::test {
namespace {

using BusRedisAway = RedisTest;

TEST_F(BusRedisAway, WhileRedisIsAwayTheLocalBusWorksAndTheGapIsCounted) {
  Redis redis(directory);
  const Supervisor oak(machine(redis.url()));
  const Supervisor elm(machine(redis.url()));
  ASSERT_TRUE(meet(oak, elm)) << oak.errors();
  ASSERT_TRUE(subscribe(oak, "flood.**"));
  ASSERT_TRUE(subscribe(elm, "flood.**"));
  (void)ask(oak, "/flood?t=flood.a&n=100");
  ASSERT_TRUE(eventually([&] { return number(elm, "received") == 100; }));
  redis.kill();
  ASSERT_TRUE(eventually([&] { return !is_connected(oak) && !is_connected(elm); }));
  (void)ask(oak, "/flood?t=flood.a&n=70");
  ASSERT_TRUE(eventually([&] { return number(oak, "received") == 170; })) << "the local bus works on";
  EXPECT_EQ(fleet(oak, "unsent"), 70u);
  redis.start();
  EXPECT_TRUE(eventually([&] { return is_connected(oak) && is_connected(elm); }));
  EXPECT_TRUE(eventually([&] { return fleet(elm, "missing") == 70; })) << fleet(elm, "missing");
  (void)ask(oak, "/flood?t=flood.a&n=30");
  EXPECT_TRUE(eventually([&] { return number(elm, "received") == 130; })) << number(elm, "received");
  EXPECT_EQ(fleet(elm, "missing"), 70u);
  EXPECT_GE(fleet(oak, "reconnects"), 1u);
}

TEST_F(BusRedisAway, WhatIsOnItsWayWhenRedisIsKilledIsCountedToo) {
  Redis redis(directory);
  const Supervisor oak(machine(redis.url()));
  const Supervisor elm(machine(redis.url()));
  ASSERT_TRUE(meet(oak, elm)) << oak.errors();
  ASSERT_TRUE(subscribe(elm, "flood.**"));
  constexpr std::uint64_t kFlood = kSlowness > 1 ? 12'500 : 400'000;
  (void)ask(oak, "/flood?t=flood.a&n=" + std::to_string(kFlood));
  ASSERT_TRUE(eventually([&] { return number(elm, "received") > 0; }));
  redis.kill();
  ASSERT_TRUE(eventually([&] { return !is_connected(oak) && !is_connected(elm); }));
  ASSERT_LT(number(elm, "received"), kFlood) << "the test must kill it in the midst";
  redis.start();
  const auto account = [&] { return fleet(elm, "received") + fleet(elm, "missing"); };
  EXPECT_TRUE(eventually([&] { return number(oak, "left") == 0 && account() == kFlood; })) << account();
  EXPECT_GT(fleet(elm, "missing"), 0u);
  EXPECT_TRUE(eventually([&] { return number(elm, "received") + number(elm, "lost") == fleet(elm, "received"); }));
  EXPECT_EQ(number(elm, "disorder"), 0u);
}

TEST_F(BusRedisAway, ARedisThatCannotWriteToItsDiskStillCarriesTheBus) {
  const std::string place = directory / "place";
  std::filesystem::create_directory(place);
  const Redis redis(directory, {"--dir", place, "--save", "3600", "1"});
  std::filesystem::remove(place);
  ASSERT_EQ(redis.command({"set", "a", "b"}).exit_code, 0);
  (void)redis.command({"bgsave"});
  ASSERT_TRUE(eventually([&] { return redis.command({"ping"}).output.starts_with("MISCONF"); }));
  SupervisorPlan plan = machine(redis.url());
  plan.options.insert(plan.options.end(), {"--set", R"(bus.stream=["kept"])"});
  const Supervisor oak(plan);
  const Supervisor elm(plan);
  ASSERT_TRUE(meet(oak, elm)) << oak.errors();
  ASSERT_TRUE(subscribe(elm, "**"));
  EXPECT_EQ(ask(oak, "/say?t=kept&m=later"), "status=0");
  oak.wait_until_told("Redis does not keep the messages of the stream: MISCONF");
  EXPECT_EQ(ask(oak, "/say?t=any&m=now"), "status=0");
  EXPECT_TRUE(eventually([&] { return number(elm, "received") == 1; }));
}

TEST_F(BusRedisAway, ARedisThatHangsIsLeft) {
  const Redis redis(directory);
  const Supervisor oak(machine(redis.url()));
  oak.wait_until_serving();
  ASSERT_TRUE(eventually([&] { return is_connected(oak); }));
  redis.signal(SIGSTOP);
  EXPECT_TRUE(eventually([&] { return !is_connected(oak); })) << "silence is noticed";
  EXPECT_TRUE(get_once(oak.target(), "/stats")) << "clients are served meanwhile";
  redis.signal(SIGCONT);
  EXPECT_TRUE(eventually([&] { return is_connected(oak); }));
}

TEST_F(BusRedisAway, AWrongPasswordIsToldAndHarmsNobody) {
  ProcessPlan plan;
  const std::string path = directory / "redis";
  plan.command = {"redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--requirepass", "right"};
  plan.output_file = directory / "output";
  plan.error_file = directory / "errors";
  const Process redis(plan);
  ASSERT_TRUE(eventually([&] { return run({"redis-cli", "-s", path, "ping"}).exit_code == 0; }));
  const Supervisor wrong(machine("unix://:wrong@" + path));
  wrong.wait_until_serving();
  wrong.wait_until_told("WRONGPASS");
  EXPECT_EQ(wrong.errors().find(":wrong@"), std::string::npos) << "passwords are not told";
  EXPECT_TRUE(get_once(wrong.target(), "/stats"));
  const Supervisor right(machine("unix://:right@" + path));
  right.wait_until_serving();
  EXPECT_TRUE(eventually([&] { return is_connected(right); }));
}

}  // namespace
}  // namespace holdfast::test
