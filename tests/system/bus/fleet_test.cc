// Two supervisors and a real Redis.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

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
      run({"sh", "-c", redis.shell_command() + " -x publish holdfast:bus < " + (directory / "message")}).exit_code, 0);
  EXPECT_TRUE(eventually([&] { return fleet(oak, "malformed") == 1; }));
  EXPECT_EQ(ask(oak, "/say?t=a.b&m=hello"), "status=0");
  EXPECT_TRUE(eventually([&] { return number(oak, "received") == 1; })) << number(oak, "received");
  EXPECT_EQ(number(oak, "faults"), 0u);
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

TEST(BusFleet, SomethingThatIsNoRedisIsToldAndHarmsNobody) {
  const TempDirectory directory;
  const std::string path = directory / "nonsense";
  const int listener = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(::listen(listener, 64), 0);
  const Supervisor oak(machine("unix://" + path));
  oak.wait_until_serving();
  for (int i = 0; i < 2; ++i) {
    const int client = ::accept(listener, nullptr, nullptr);
    ASSERT_GE(client, 0);
    (void)::send(client, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, MSG_NOSIGNAL);
    ::close(client);
  }
  oak.wait_until_told("bus: no connection");
  EXPECT_TRUE(get_once(oak.target(), "/stats"));
  ::close(listener);
}

}  // namespace
}  // namespace holdfast::test
