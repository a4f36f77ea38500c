// Two supervisors and a real Redis.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "system/bus/redis_fixture.h"

namespace holdfast::test {
namespace {

TEST(BusFleet, MessagesReachTheOtherMachineOnceAndInOrder) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
  const Redis redis(directory);
  const Supervisor oak(machine(redis.url()));
  const Supervisor elm(machine(redis.url()));
  oak.wait_until_serving();
  elm.wait_until_serving();
  ASSERT_EQ(ask(oak, "/subscribe?p=flood.**"), "status=0");
  ASSERT_EQ(ask(elm, "/subscribe?p=flood.**"), "status=0");
  ASSERT_TRUE(eventually([&] { return is_fleet(oak, elm); })) << oak.ask("status").value_or("") << oak.errors();
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
TEST(BusFleet, MessagesOfAllSizesArriveWholeOnceAndInOrder) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
  const Redis redis(directory);
  const Supervisor oak(machine(redis.url()));
  const Supervisor elm(machine(redis.url()));
  oak.wait_until_serving();
  elm.wait_until_serving();
  ASSERT_EQ(ask(elm, "/subscribe?p=mixed.*"), "status=0");
  ASSERT_TRUE(eventually([&] { return is_fleet(oak, elm); }));
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
  // As large as any message, and as one that is larger than all that may wait.
  ASSERT_EQ(ask(oak, "/large?t=mixed.100&size=" + std::to_string(64U << 20)), "status=0");
  EXPECT_TRUE(eventually([&] { return number(elm, "received") == 101; }));
  EXPECT_EQ(number(elm, "bad") + number(elm, "gaps"), 0u);
}

TEST(BusFleet, WhileRedisIsAwayTheLocalBusWorksAndTheGapIsCounted) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
  Redis redis(directory);
  const Supervisor oak(machine(redis.url()));
  const Supervisor elm(machine(redis.url()));
  oak.wait_until_serving();
  elm.wait_until_serving();
  ASSERT_EQ(ask(oak, "/subscribe?p=flood.**"), "status=0");
  ASSERT_EQ(ask(elm, "/subscribe?p=flood.**"), "status=0");
  ASSERT_TRUE(eventually([&] { return is_fleet(oak, elm); }));
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

// Anybody who has the password can write what no worker could be given.
TEST(BusFleet, AMessageThatIsTooLongForAWorkerIsRefusedAndHarmsNobody) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
  const Redis redis(directory);
  const Supervisor oak(machine(redis.url()));
  oak.wait_until_serving();
  ASSERT_EQ(ask(oak, "/subscribe?p=**"), "status=0");
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

TEST(BusFleet, WhatIsOnItsWayWhenRedisIsKilledIsCountedToo) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
  Redis redis(directory);
  const Supervisor oak(machine(redis.url()));
  const Supervisor elm(machine(redis.url()));
  oak.wait_until_serving();
  elm.wait_until_serving();
  ASSERT_EQ(ask(elm, "/subscribe?p=flood.**"), "status=0");
  ASSERT_TRUE(eventually([&] { return is_fleet(oak, elm); }));
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

TEST(BusFleet, FleetsOfAnotherNameOrDatabaseDoNotMix) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
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
    ASSERT_EQ(ask(*each, "/subscribe?p=**"), "status=0");
  }
  ASSERT_TRUE(eventually([&] { return is_fleet(oak, elm) && is_connected(stranger); }));
  for (const char* topic : {"kept", "any"}) ASSERT_EQ(ask(oak, std::string("/say?m=hello&t=") + topic), "status=0");
  EXPECT_TRUE(eventually([&] { return number(elm, "received") == 2; }));
  EXPECT_EQ(ask(stranger, "/say?t=any&m=end"), "status=0");
  EXPECT_TRUE(eventually([&] { return number(stranger, "received") == 1 && fleet(stranger, "sent") == 1; }));
  EXPECT_EQ(fleet(stranger, "received"), 0u);
  EXPECT_TRUE(link_of(stranger)["machines"].empty());
}

TEST(BusFleet, ARedisThatCannotWriteToItsDiskStillCarriesTheBus) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
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
  oak.wait_until_serving();
  elm.wait_until_serving();
  ASSERT_TRUE(eventually([&] { return is_fleet(oak, elm); })) << oak.errors();
  ASSERT_EQ(ask(elm, "/subscribe?p=**"), "status=0");
  EXPECT_EQ(ask(oak, "/say?t=kept&m=later"), "status=0");
  oak.wait_until_told("Redis does not keep the messages of the stream: MISCONF");
  EXPECT_EQ(ask(oak, "/say?t=any&m=now"), "status=0");
  EXPECT_TRUE(eventually([&] { return number(elm, "received") == 1; }));
}

TEST(BusFleet, ARedisThatHangsIsLeft) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
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

TEST(BusFleet, AWrongPasswordIsToldAndHarmsNobody) {
  if (Redis::is_missing()) GTEST_SKIP() << "there is no redis-server here";
  const TempDirectory directory;
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

// A server of the test's own: what it says, to whoever comes.
class Stranger {
 public:
  explicit Stranger(const std::string& path)
      : listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(listener_, 64), 0);
  }
  ~Stranger() {
    for (const int client : clients_) ::close(client);
    ::close(listener_);
  }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;

  // To those who have come by now. They stay.
  void say(std::string_view text) {
    for (int client = -1; (client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
      clients_.push_back(client);
      (void)::send(client, text.data(), text.size(), MSG_NOSIGNAL);
    }
  }

 private:
  int listener_;
  std::vector<int> clients_;
};

std::string trouble_of(const Supervisor& supervisor) { return link_of(supervisor).value("trouble", std::string()); }

TEST(BusFleet, SomethingThatIsNoRedisIsToldAndHarmsNobody) {
  const TempDirectory directory;
  Stranger stranger(directory / "nonsense");
  const Supervisor oak(machine("unix://" + (directory / "nonsense")));
  oak.wait_until_serving();
  EXPECT_TRUE(eventually([&] {
    stranger.say("HTTP/1.1 400 Bad Request\r\n\r\n");
    return trouble_of(oak).find("Protocol error") != std::string::npos;
  })) << trouble_of(oak);
  oak.wait_until_told("Protocol error");
  EXPECT_TRUE(get_once(oak.target(), "/stats"));
}

TEST(BusFleet, OneThatNeverAnswersIsLeftAndHarmsNobody) {
  const TempDirectory directory;
  Stranger stranger(directory / "silent");
  const Supervisor oak(machine("unix://" + (directory / "silent")));
  oak.wait_until_serving();
  EXPECT_TRUE(eventually([&] {
    stranger.say("");
    return get_once(oak.target(), "/stats").has_value() && trouble_of(oak) == "it did not answer within 5 s";
  })) << trouble_of(oak);
}

}  // namespace
}  // namespace holdfast::test
