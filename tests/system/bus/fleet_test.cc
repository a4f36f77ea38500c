// Two supervisors and a real Redis.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "support/supervisor.h"
#include "test_paths.h"

namespace holdfast::test {
namespace {

// A Redis server of the test's own, at a socket in a directory.
class Redis {
 public:
  explicit Redis(const TempDirectory& directory, std::vector<std::string> more = {}) : path_(directory / "redis") {
    plan_.command = {"redis-server", "--port", "0",     "--unixsocket",           path_, "--save", "",
                     "--appendonly", "no",     "--dir", directory.path().string()};
    plan_.command.insert(plan_.command.end(), more.begin(), more.end());
    plan_.output_file = directory / "redis.output";
    plan_.error_file = directory / "redis.errors";
    start();
  }
  static bool is_missing() { return run({"redis-server", "--version"}).exit_code != 0; }
  void start() {
    process_ = std::make_unique<Process>(plan_);
    EXPECT_TRUE(eventually([&] { return run({"redis-cli", "-s", path_, "ping"}).exit_code == 0; }));
  }
  void kill() { process_.reset(); }
  void signal(int number) const { process_->signal(number); }
  [[nodiscard]] std::string url() const { return "unix://" + path_; }

 private:
  std::string path_;
  ProcessPlan plan_;
  std::unique_ptr<Process> process_;
};

SupervisorPlan machine(const std::string& redis) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.command = {HOLDFAST_BIN "/bus_worker"};
  plan.options = {"--bus-redis", redis};
  return plan;
}

std::string ask(const Supervisor& supervisor, const std::string& path) {
  const std::optional<Response> response = get_once(supervisor.target(), path);
  return response ? response->body : "";
}

std::uint64_t number(const Supervisor& supervisor, const std::string& name) {
  const std::string stats = ask(supervisor, "/stats");
  const std::size_t at = stats.find("\n" + name + "=");
  return at == std::string::npos ? 0 : std::stoull(stats.substr(at + name.size() + 2));
}

// What `status` tells of the link to the other machines.
nlohmann::json link_of(const Supervisor& supervisor) {
  const auto status = nlohmann::json::parse(supervisor.ask("status").value_or(""), nullptr, false);
  return status.is_object() ? status["bus"]["fleet"].at(0) : nlohmann::json::object();
}

std::uint64_t fleet(const Supervisor& supervisor, const std::string& name) {
  return link_of(supervisor).value(name, std::uint64_t{0});
}

bool is_connected(const Supervisor& supervisor) {
  return link_of(supervisor).value("trouble", std::string("?")).empty();
}

// Both are, and each has heard of the other.
bool is_fleet(const Supervisor& one, const Supervisor& other) {
  return link_of(one).value("machines", nlohmann::json::array()).size() == 1 &&
         link_of(other).value("machines", nlohmann::json::array()).size() == 1;
}

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
    (void)!::write(client, "HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    ::close(client);
  }
  oak.wait_until_told("bus: no connection");
  EXPECT_TRUE(get_once(oak.target(), "/stats"));
  ::close(listener);
}

}  // namespace
}  // namespace holdfast::test
