// What a service manager is given to keep for the next supervisor, when it does not listen for a while.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

#include "support/eventually.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

// Where a service manager listens. It reads all the time, because who speaks to it waits when it does not.
class Manager {
 public:
  explicit Manager(const std::string& path) : path_(path), fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0) << std::strerror(errno);
    thread_ = std::thread([this] { work(); });
  }
  ~Manager() {
    ::unlink(path_.c_str());
    stopping_ = true;
    (void)::shutdown(fd_, SHUT_RDWR);
    thread_.join();
    ::close(fd_);
  }
  Manager(const Manager&) = delete;
  Manager& operator=(const Manager&) = delete;

  // Of the descriptors that it was given so far.
  [[nodiscard]] std::set<std::string> names() const {
    const std::lock_guard lock(mutex_);
    return names_;
  }
  [[nodiscard]] bool has(const std::string& name) const { return names().contains(name); }
  // Whether it was told to keep it no longer.
  [[nodiscard]] bool has_lost(const std::string& name) const {
    const std::lock_guard lock(mutex_);
    return taken_back_.contains(name);
  }

 private:
  void work() {
    std::array<char, 4096> buffer{};
    while (!stopping_) {
      const ssize_t size =
          ::recv(fd_, buffer.data(), buffer.size(), 0);  // without room for descriptors: they are closed
      if (size <= 0) continue;
      const std::string text(buffer.data(), static_cast<std::size_t>(size));
      const std::size_t at = text.find("FDNAME=");
      if (at == std::string::npos) continue;
      const std::string name = text.substr(at + 7, text.find('\n', at) - at - 7);
      const std::lock_guard lock(mutex_);
      if (text.starts_with("FDSTORE=1")) names_.insert(name);
      if (text.starts_with("FDSTOREREMOVE=1")) taken_back_.insert(name);
    }
  }

  const std::string path_;
  const int fd_;
  mutable std::mutex mutex_;
  std::set<std::string> names_;
  std::set<std::string> taken_back_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

TEST(KeptForTheNextSupervisor, WhatTheManagerDidNotHearIsGivenToItAgain) {
  const TempDirectory directory;
  const std::string path = directory / "manager";
  auto manager = std::make_unique<Manager>(path);
  SupervisorPlan plan;
  plan.environment = {"NOTIFY_SOCKET=" + path};
  plan.options = {"--keep-state", "systemd", "--restart-delay", "0s"};
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  ASSERT_TRUE(eventually([&] { return manager->has("pidfd.main.1") && manager->has("pidfd.main.2"); }));
  const auto times = [&](std::string_view text) {
    int count = 0;
    const std::string log = supervisor.errors();
    for (std::size_t at = 0; (at = log.find(text, at)) != std::string::npos; at++) count++;
    return count;
  };
  int rounds = 0;
  struct Change {
    std::string dead;
    std::string newcomer;
  };
  for (const Change& change : {Change{"pidfd.main.1", "pidfd.main.3"}, Change{"pidfd.main.3", "pidfd.main.4"}}) {
    manager.reset();
    const pid_t worker = supervisor.status().slot(0).pid;
    send_signal(worker, SIGKILL);
    supervisor.wait_until("there is another worker", [&](const StatusView& status) {
      return status.all_serving() && status.slot(0).pid != worker;
    });
    manager = std::make_unique<Manager>(path);
    EXPECT_TRUE(eventually([&] { return manager->has(change.newcomer); })) << change.newcomer;
    EXPECT_TRUE(eventually([&] { return manager->has_lost(change.dead); })) << change.dead;
    EXPECT_FALSE(manager->has("pidfd.main.2")) << "that one it has";
    // Each failure is told, and each end of one.
    rounds++;
    EXPECT_TRUE(eventually([&] { return times("what the next supervisor needs is kept again") == rounds; }));
  }
  EXPECT_EQ(times("a supervisor that is killed now takes its workers with it"), 2);
}

}  // namespace
}  // namespace holdfast::test
