// Listeners on paths and in the abstract name space.
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

namespace fs = std::filesystem;

TEST(UnixListener, ServesBesideATcpOneAndIsRemovedAtTheEnd) {
  const TempDirectory directory;
  SupervisorPlan plan;
  plan.listen = {"unix:{dir}/front", "web=127.0.0.1:0"};
  const Supervisor supervisor(plan, &directory);
  supervisor.wait_until_serving();
  EXPECT_EQ(supervisor.address(0), "unix:" + (directory / "front"));
  const std::optional<Response> by_path = get_once(supervisor.target(0), "/");
  ASSERT_TRUE(by_path);
  const std::optional<Response> by_port = get_once(supervisor.target(1), "/");
  ASSERT_TRUE(by_port);
  EXPECT_EQ(by_port->listener, "web");
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(status.listeners[0].accepted, 1u);
  EXPECT_EQ(status.listeners[1].accepted, 1u);
  EXPECT_EQ(status.listeners[1].name, "web");
  supervisor.signal(SIGTERM);
  EXPECT_EQ(supervisor.wait_for_exit(), 0);
  EXPECT_FALSE(fs::exists(directory / "front"));
  EXPECT_EQ(supervisor.errors().find("accepting pauses"), std::string::npos) << supervisor.errors();
}

TEST(UnixListener, TheFileHasTheModeThatWasAskedFor) {
  const TempDirectory directory;
  SupervisorPlan plan;
  plan.listen = {"front=unix:{dir}/front,mode=0620"};
  const Supervisor supervisor(plan, &directory);
  supervisor.wait_until_serving();
  EXPECT_EQ(supervisor.address(), "unix:" + (directory / "front"));
  EXPECT_EQ(fs::status(directory / "front").permissions(), fs::perms(0620));
  EXPECT_TRUE(get_once(supervisor.target(), "/"));
}

TEST(UnixListener, ClientsGoToTheSlotWithTheLeastLoad) {
  const TempDirectory directory;
  SupervisorPlan plan;
  plan.listen = {"unix:{dir}/front"};
  plan.workers = 4;
  const Supervisor supervisor(plan, &directory);
  const Endpoint target = supervisor.target();
  supervisor.wait_until_serving();
  std::vector<HttpClient> clients;
  std::map<int, unsigned> served;
  for (int i = 0; i < 16; ++i) {
    clients.emplace_back(target);
    const std::optional<Response> response = clients.back().get("/");
    ASSERT_TRUE(response);
    ++served[response->slot];
  }
  EXPECT_EQ(served, (std::map<int, unsigned>{{0, 4}, {1, 4}, {2, 4}, {3, 4}}));
}

TEST(UnixListener, TheAbstractNameSpaceServesToo) {
  SupervisorPlan plan;
  plan.listen = {"unix:@holdfast-test-" + std::to_string(::getpid())};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  EXPECT_TRUE(get_once(supervisor.target(), "/"));
}

TEST(UnixListener, ConnectionsSurviveACrashOfTheWorkerThatHadNotTakenThemUp) {
  const TempDirectory directory;
  SupervisorPlan plan;
  plan.listen = {"unix:{dir}/front"};
  plan.workers = 1;
  const Supervisor supervisor(plan, &directory);
  const Endpoint target = supervisor.target();
  const pid_t worker = supervisor.wait_until_serving().slot(0).pid;
  send_signal(worker, SIGSTOP);
  ASSERT_TRUE(eventually([&] { return process_state(worker) == "T"; }));
  std::vector<HttpClient> clients;
  for (int i = 0; i < 30; ++i) {
    clients.emplace_back(target);
    clients.back().send("/", "close");
  }
  supervisor.wait_until("all wait", [](const StatusView& status) { return status.waiting == 30; });
  send_signal(worker, SIGKILL);
  for (HttpClient& client : clients) ASSERT_TRUE(client.receive()) << name_of(client.ending());
}

}  // namespace
}  // namespace holdfast::test
