// What is published reaches the other machines that share a real Redis.
#include <gtest/gtest.h>

#include <array>
#include <string>

#include "system/bus/redis_fixture.h"

namespace holdfast::test {
namespace {

using BusFleet = RedisTest;
using BusSocketIo = RedisTest;

TEST_F(BusFleet, MessagesReachTheOtherMachineOnceAndInOrder) {
  const Redis redis(directory);
  const Supervisor oak(machine(redis.url()));
  const Supervisor elm(machine(redis.url()));
  ASSERT_TRUE(meet(oak, elm)) << oak.errors();
  ASSERT_TRUE(subscribe(oak, "flood.**"));
  ASSERT_TRUE(subscribe(elm, "flood.**"));
  (void)ask(oak, "/flood?t=flood.a&n=5000");
  (void)ask(elm, "/flood?t=flood.b&n=3000");
  for (const Supervisor* supervisor : {&oak, &elm}) {
    EXPECT_TRUE(eventually([&] { return number(*supervisor, "received") == 8000; })) << number(*supervisor, "received");
    EXPECT_EQ(number(*supervisor, "disorder"), 0u) << "no echo";
    EXPECT_EQ(number(*supervisor, "gaps"), 0u);
    EXPECT_EQ(fleet(*supervisor, "missing"), 0u);
  }
}

// From one byte to two megabytes, ten at a time: a machine that publishes more than Redis takes loses some, and counts them.
TEST_F(BusFleet, MessagesOfAllSizesArriveWholeOnceAndInOrder) {
  const Redis redis(directory);
  const Supervisor oak(machine(redis.url()));
  const Supervisor elm(machine(redis.url()));
  ASSERT_TRUE(meet(oak, elm)) << oak.errors();
  ASSERT_TRUE(subscribe(elm, "mixed.*"));
  constexpr std::array<std::size_t, 10> kSizes = {1,         65'537, 100,     2 << 20, 65'536,
                                                  1'000'000, 1,      131'072, 70'000,  500'000};
  std::uint64_t said = 0;
  while (said < 100) {
    for (const std::size_t size : kSizes) {
      ASSERT_EQ(ask(oak, "/large?t=mixed." + std::to_string(said++) + "&size=" + std::to_string(size)), "status=0");
    }
    ASSERT_TRUE(eventually([&] { return number(elm, "received") == said; })) << number(elm, "received");
  }
  EXPECT_EQ(number(elm, "bad"), 0u);
  EXPECT_EQ(number(elm, "gaps") + number(elm, "disorder"), 0u);
  EXPECT_EQ(fleet(elm, "missing"), 0u);
  EXPECT_EQ(fleet(oak, "unsent"), 0u);
  // The largest that there is, which is more than may wait for Redis.
  ASSERT_EQ(ask(oak, "/large?t=mixed.100&size=" + std::to_string(64U << 20)), "status=0");
  EXPECT_TRUE(eventually([&] { return number(elm, "received") == 101; }));
  EXPECT_EQ(number(elm, "bad") + number(elm, "gaps"), 0u);
}

// Redis cuts off who hears too slowly, and everybody hears himself.
TEST_F(BusFleet, ALargeMessageIsSaidNoFasterThanItComesBack) {
  const Redis redis(directory, {"--client-output-buffer-limit", "pubsub 6mb 0 0"});
  const Supervisor oak(machine(redis.url()));
  oak.wait_until_serving();
  ASSERT_TRUE(eventually([&] { return is_connected(oak); }));
  for (std::uint64_t said = 1; said <= 3; said++) {
    ASSERT_EQ(ask(oak, "/large?t=mixed." + std::to_string(said) + "&size=" + std::to_string(64U << 20)), "status=0");
    EXPECT_TRUE(eventually([&] { return fleet(oak, "sent") + fleet(oak, "unsent") == said; }));
  }
  EXPECT_EQ(fleet(oak, "unsent"), 0u);
  EXPECT_EQ(fleet(oak, "reconnects"), 0u);
}

// Anybody who has the password can write what no worker could be given.
TEST_F(BusFleet, AMessageThatIsTooLongForAWorkerIsRefusedAndHarmsNobody) {
  const Redis redis(directory);
  const Supervisor oak(machine(redis.url()));
  oak.wait_until_serving();
  ASSERT_TRUE(subscribe(oak, "**"));
  ASSERT_TRUE(eventually([&] { return is_connected(oak); }));
  std::string message("HFB1\1\0\0\0", 8);
  message += std::string("\7\0\0\0\0\0\0\0", 8) + std::string("\1\0\0\0\0\0\0\0", 8);  // node and number
  message += std::string("\3\0", 2) + "a.b" + std::string(100 * 1024, 'x');
  write_text(directory / "message", message);
  ASSERT_EQ(
      run({"sh", "-c", redis.shell_command() + " -x publish holdfast:0:bus < " + (directory / "message")}).exit_code,
      0);
  EXPECT_TRUE(eventually([&] { return fleet(oak, "malformed") == 1; }));
  EXPECT_EQ(ask(oak, "/say?t=a.b&m=hello"), "status=0");
  EXPECT_TRUE(eventually([&] { return number(oak, "received") == 1; })) << number(oak, "received");
  EXPECT_EQ(number(oak, "faults"), 0u);
}

TEST_F(BusFleet, FleetsOfAnotherNameOrDatabaseDoNotMix) {
  const Redis redis(directory);
  const auto member = [&](const std::string& more, const std::string& name) {
    SupervisorPlan plan = machine(redis.url() + more);
    plan.options.insert(plan.options.end(), {"--bus-fleet", name, "--set", R"(bus.stream=["kept"])"});
    return plan;
  };
  const Supervisor oak(member("", "shop"));
  const Supervisor elm(member("", "shop"));
  const Supervisor stranger(member("", "game"));
  for (const Supervisor* each : {&oak, &elm, &stranger}) {
    each->wait_until_serving();
    ASSERT_TRUE(subscribe(*each, "**"));
  }
  ASSERT_TRUE(eventually([&] { return is_fleet(oak, elm) && is_connected(stranger); }));
  for (const char* topic : {"kept", "any"}) ASSERT_EQ(ask(oak, std::string("/say?m=hello&t=") + topic), "status=0");
  EXPECT_TRUE(eventually([&] { return number(elm, "received") == 2; }));
  EXPECT_EQ(ask(stranger, "/say?t=any&m=end"), "status=0");
  EXPECT_TRUE(eventually([&] { return number(stranger, "received") == 1 && fleet(stranger, "sent") == 1; }));
  EXPECT_EQ(fleet(stranger, "received"), 0u);
  EXPECT_TRUE(link_of(stranger)["machines"].empty());
}

TEST_F(BusSocketIo, AnEventReachesWhoeverListensToItsServers) {
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

}  // namespace
}  // namespace holdfast::test
