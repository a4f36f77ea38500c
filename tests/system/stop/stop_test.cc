// Stopping: graceful and bounded, or at once.
#include <gtest/gtest.h>
#include <signal.h>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

class Stop : public testing::TestWithParam<int> {};

TEST_P(Stop, AGracefulOneLetsARequestFinishAndTakesNothingNew) {
  const Supervisor supervisor;
  const Endpoint target = supervisor.target();
  supervisor.wait_until_serving();
  HttpClient busy(target);
  busy.send("/slow?ms=800");
  HttpClient idle(target);
  ASSERT_TRUE(idle.get("/"));
  supervisor.wait_until("both are taken up", [](const StatusView& status) { return status.handed == 2; });

  supervisor.signal(GetParam());
  EXPECT_TRUE(eventually([&] { return !HttpClient(target).connected(); }))
      << "new connections must be refused while it stops";
  EXPECT_TRUE(supervisor.running()) << "it must wait for the request";
  const std::optional<Response> response = busy.receive();
  ASSERT_TRUE(response) << name_of(busy.ending());
  EXPECT_EQ(response->code, 200);
  EXPECT_EQ(supervisor.wait_for_exit(), 0);
  EXPECT_TRUE(orphans().empty());
  EXPECT_TRUE(supervisor.directory().sockets().empty());
}

INSTANTIATE_TEST_SUITE_P(BySignal, Stop, testing::Values(SIGTERM, SIGINT),
                         [](const auto& instance) { return instance.param == SIGTERM ? "TERM" : "INT"; });

TEST(Stop, ConnectionsThatWaitWhenItBeginsAreServed) {
  SupervisorPlan plan;
  plan.workers = 1;
  const Supervisor supervisor(plan);
  const Endpoint target = supervisor.target();
  const pid_t worker = supervisor.wait_until_serving().slot(0).pid;
  send_signal(worker, SIGSTOP);
  ASSERT_TRUE(eventually([&] { return process_state(worker) == "T"; }));
  std::vector<HttpClient> clients;
  for (const std::string& source : ipv4_sources(50)) {
    clients.emplace_back(target, source);
    clients.back().send("/", "close");
  }
  supervisor.wait_until("all wait", [](const StatusView& status) { return status.waiting == 50; });
  supervisor.signal(SIGTERM);
  supervisor.wait_until("it stops", [](const StatusView& status) { return status.state == "stopping"; });
  send_signal(worker, SIGCONT);
  for (HttpClient& client : clients) EXPECT_TRUE(client.receive()) << name_of(client.ending());
  EXPECT_EQ(supervisor.wait_for_exit(), 0);
}

TEST(Stop, AHungWorkerDoesNotHoldItUpForEver) {
  SupervisorPlan plan;
  plan.options = {"--heartbeat-timeout", "0",     "--drain-timeout", "400ms",
                  "--kill-timeout",      "400ms", "--stop-timeout",  "3s"};
  const Supervisor supervisor(plan);
  const Endpoint target = supervisor.target();
  supervisor.wait_until_serving();
  HttpClient victim(target);
  victim.send("/hang");
  supervisor.wait_until("it is taken up", [](const StatusView& status) { return status.handed == 1; });
  const Clock::time_point begin = Clock::now();
  supervisor.signal(SIGTERM);
  (void)supervisor.wait_for_exit();
  EXPECT_LT(Clock::now() - begin, 3s + 1s * kSlowness);
  EXPECT_TRUE(orphans().empty());
}

// Runs with a request that takes a minute under way, so that a graceful stop would take that long.
class StopAtOnce : public testing::Test {
 protected:
  StopAtOnce() : target_(supervisor_.target()), busy_(target_) {
    supervisor_.wait_until_serving();
    busy_.send("/slow?ms=60000");
    supervisor_.wait_until("it is taken up", [](const StatusView& status) { return status.handed == 1; });
  }
  void expect_prompt_end() {
    const Clock::time_point begin = Clock::now();
    (void)supervisor_.wait_for_exit();
    EXPECT_LT(Clock::now() - begin, 2s + 1s * kSlowness);
    EXPECT_TRUE(busy_.closed_by_peer());
    EXPECT_TRUE(orphans().empty());
  }

  Supervisor supervisor_;
  Endpoint target_;
  HttpClient busy_;
};

TEST_F(StopAtOnce, ASecondTermDoesNotWaitForRequests) {
  supervisor_.signal(SIGTERM);
  supervisor_.wait_until("it stops gracefully", [](const StatusView& status) { return status.state == "stopping"; });
  EXPECT_TRUE(supervisor_.running());
  // What comes soon after the first is the same wish: so again and again, until one counts.
  EXPECT_TRUE(eventually([&] {
    supervisor_.signal(SIGTERM);
    return supervisor_.errors().find("stopping at once") != std::string::npos;
  }));
  expect_prompt_end();
}

TEST_F(StopAtOnce, QuitDoesNotWaitForRequests) {
  supervisor_.signal(SIGQUIT);
  expect_prompt_end();
}

// As timeout(1) does it, which signals the process and then its group. While it is stopped both signals are kept, and it
// gets them together; two of one kind would be merged by the kernel.
TEST(Stop, TwoSignalsAtOnceAreOneWish) {
  const Supervisor supervisor;
  HttpClient busy(supervisor.target());
  busy.send("/slow?ms=800");
  supervisor.wait_until("it is taken up", [](const StatusView& status) { return status.handed == 1; });
  supervisor.signal(SIGSTOP);
  ASSERT_TRUE(eventually([&] { return process_state(supervisor.pid()) == "T"; }));
  supervisor.signal(SIGTERM);
  supervisor.signal(SIGINT);
  supervisor.signal(SIGCONT);
  EXPECT_TRUE(busy.receive()) << name_of(busy.ending());
  EXPECT_EQ(supervisor.wait_for_exit(), 0);
  EXPECT_EQ(supervisor.errors().find("stopping at once"), std::string::npos) << supervisor.errors();
}

// To its very end, when nobody hears them any more: its sockets must be removed all the same.
TEST(Stop, WhoeverAsksAgainAndAgainDoesNotCutItShort) {
  const Supervisor supervisor;
  supervisor.wait_until_serving();
  const bool ends = eventually([&] {
    for (int i = 0; i < 1000 && alive(supervisor.pid()); i++) supervisor.signal(SIGTERM);
    return !alive(supervisor.pid());
  });
  EXPECT_TRUE(ends);
  EXPECT_EQ(supervisor.wait_for_exit(), 0);
}

TEST(Stop, TheCommandWaitsForTheEnd) {
  const Supervisor supervisor;
  supervisor.wait_until_serving();
  const Ran ran = supervisor.tell("stop", {"--wait"});
  EXPECT_EQ(ran.exit_code, 0) << ran.output << ran.errors;
  EXPECT_EQ(supervisor.wait_for_exit(), 0);
}

// As a service manager does it: ExecStop= returns, and the signal follows at once.
TEST(Stop, ATermAfterTheCommandIsTheFirstAndLetsARequestFinish) {
  const Supervisor supervisor;
  HttpClient busy(supervisor.target());
  busy.send("/slow?ms=800");
  supervisor.wait_until("it is taken up", [](const StatusView& status) { return status.handed == 1; });
  EXPECT_EQ(supervisor.tell("stop").exit_code, 0);
  supervisor.signal(SIGTERM);
  EXPECT_TRUE(busy.receive()) << name_of(busy.ending());
  EXPECT_EQ(supervisor.wait_for_exit(), 0);
}

TEST(Stop, TheAccountOfAllConnectionsIsItsLastWord) {
  const Supervisor supervisor;
  ASSERT_TRUE(get_once(supervisor.target(), "/"));
  supervisor.signal(SIGTERM);
  EXPECT_EQ(supervisor.wait_for_exit(), 0);
  EXPECT_NE(supervisor.errors().find("1 connections accepted, 1 handed to workers, 0 refused"), std::string::npos)
      << supervisor.errors();
}

TEST(Stop, AWorkersGrandchildrenDoNotOutliveAnImmediateOne) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.command = {"/bin/sh", "-c", "sleep 1000 & exec " + whoami_program()};
  const Supervisor supervisor(plan);
  const pid_t worker = supervisor.wait_until_serving().slot(0).pid;
  const std::vector<pid_t> grandchildren = children_of(worker);
  ASSERT_EQ(grandchildren.size(), 1u);
  supervisor.signal(SIGQUIT);
  (void)supervisor.wait_for_exit();
  EXPECT_TRUE(eventually([&] { return orphans().empty() && !alive(grandchildren[0]); }));
}

TEST(Stop, DuringStartItLeavesNothingBehind) {
  SupervisorPlan plan;
  plan.command = {"/bin/sleep", "1000"};  // never ready
  plan.options = {"--kill-timeout", "1s"};
  const Supervisor supervisor(plan);
  supervisor.wait_until("both have been started",
                        [](const StatusView& status) { return status.slot(0).pid > 0 && status.slot(1).pid > 0; });
  supervisor.signal(SIGTERM);
  EXPECT_EQ(supervisor.wait_for_exit(), 0);
  EXPECT_TRUE(orphans().empty());
}

}  // namespace
}  // namespace holdfast::test
