// What beside workers and connections goes on, or is refused, when the supervisor becomes another program.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>

#include "support/eventually.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;

std::uint64_t epoch_of(const StatusView& status) {
  return nlohmann::json::parse(status.json)["epoch"].get<std::uint64_t>();
}

Ran upgrade(const Supervisor& supervisor) { return supervisor.tell("upgrade", {"--wait"}); }

// Where a service manager listens.
class ServiceManager {
 public:
  explicit ServiceManager(const std::string& path) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    const timeval patience{10, 0};
    EXPECT_EQ(::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
  }
  ~ServiceManager() { ::close(fd_); }
  ServiceManager(const ServiceManager&) = delete;
  ServiceManager& operator=(const ServiceManager&) = delete;

  // Reads on until something holds `text`: whether that came.
  [[nodiscard]] bool hears(std::string_view text) const {
    std::array<char, 4096> buffer{};
    for (ssize_t count = 0; (count = ::recv(fd_, buffer.data(), buffer.size(), 0)) >= 0;) {
      const std::string_view heard(buffer.data(), static_cast<std::size_t>(count));
      if (heard.find(text) != std::string_view::npos) return true;
    }
    return false;
  }

 private:
  int fd_;
};

TEST(UpgradeCarries, TheServiceManagerHearsOnThatItIsReadyAndLives) {
  const TempDirectory directory;
  const ServiceManager manager(directory / "manager");
  SupervisorPlan plan;
  plan.environment = {"NOTIFY_SOCKET=" + (directory / "manager"), "WATCHDOG_USEC=120000000"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  ASSERT_TRUE(manager.hears("READY=1"));
  for (std::uint64_t round = 1; round <= 3; round++) {
    ASSERT_EQ(upgrade(supervisor).exit_code, 0);
    ASSERT_EQ(epoch_of(supervisor.status()), round);
    EXPECT_TRUE(manager.hears("WATCHDOG=1"));  // once when it begins, and for a minute no more
    EXPECT_TRUE(manager.hears("READY=1"));
    EXPECT_TRUE(supervisor.status().all_serving());
  }
}

TEST(UpgradeCarries, HealthIsCheckedOnAndNoCheckIsLeftBehind) {
  SupervisorPlan plan;
  plan.options = {"--health-interval",
                  "100ms",
                  "--health-timeout",
                  "5s",
                  "--set",
                  R"(pools.main.health-command=["/bin/sh", "-c", "test ! -e {dir}/ill && exec sleep 0.02"])"};
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  for (int i = 0; i < 5; i++) {
    const Ran ran = upgrade(supervisor);
    ASSERT_EQ(ran.exit_code, 0) << ran.errors;
  }
  EXPECT_EQ(supervisor.status().pids(), before.pids());
  EXPECT_TRUE(eventually([&] { return children_of(supervisor.pid()).size() <= before.slots.size(); }))
      << "checks of the programs before stay";
  write_text(supervisor.directory() / "ill", "");
  supervisor.wait_until("an illness is found",
                        [](const StatusView& status) { return status.slot(0).health == "unhealthy"; });
  EXPECT_EQ(supervisor.tell("stop", {"--wait"}).exit_code, 0);
}

TEST(UpgradeCarries, ChecksByConnectionsStayInTheAccount) {
  SupervisorPlan plan;
  plan.options = {"--health-interval", "100ms", "--health-http", "/"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  const auto checks = [](const StatusView& status) {
    return nlohmann::json::parse(status.json)["checks"].get<std::uint64_t>();
  };
  for (int i = 0; i < 5; i++) {
    const std::uint64_t before = checks(supervisor.wait_until(
        "checks go on",
        [&, first = checks(supervisor.status())](const StatusView& status) { return checks(status) > first + 2; }));
    const Ran ran = upgrade(supervisor);
    ASSERT_EQ(ran.exit_code, 0) << ran.errors;
    const StatusView after = supervisor.status();
    EXPECT_GE(checks(after), before);
    EXPECT_TRUE(after.balanced()) << after.json;
  }
}

TEST(UpgradeCarries, WorkersOfAnotherUserAreHeardOn) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can start workers as another user";
  SupervisorPlan plan;
  plan.listen = {};
  plan.workers = 1;
  plan.options = {"--user", "nobody", "--intake", "none", "--start-grace", "100s", "--start-timeout", "200s"};
  plan.command = {"python3", "-c", R"(import os, signal, socket
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
print("waits", flush=True)
signal.sigwait([signal.SIGUSR1])
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"READY=1", "\0" + os.environ["NOTIFY_SOCKET"][1:])
signal.pause())"};
  const Supervisor supervisor(plan);
  ASSERT_TRUE(eventually([&] { return supervisor.output().find("waits") != std::string::npos; }))
      << supervisor.errors();
  const pid_t worker = supervisor.status().slot(0).pid;
  ASSERT_EQ(upgrade(supervisor).exit_code, 0);
  send_signal(worker, SIGUSR1);
  EXPECT_EQ(supervisor.wait_until_serving().slot(0).pid, worker);
}

}  // namespace
}  // namespace holdfast::test
