// A worker written from PROTOCOL.md alone, in another language, with and without the counter page.
#include <gtest/gtest.h>
#include <signal.h>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

class PythonWorker : public testing::TestWithParam<const char*> {
 protected:
  [[nodiscard]] static SupervisorPlan plan() {
    SupervisorPlan plan;
    plan.command = {"/usr/bin/env", "python3", source_file("tests/interop/python_worker/worker.py")};
    if (*GetParam() != '\0') plan.command.emplace_back(GetParam());
    plan.options = {"--heartbeat-timeout", "2s"};
    return plan;
  }
};

TEST_P(PythonWorker, ServesAndIsCountedAndBeats) {
  const Supervisor supervisor(plan());
  const Endpoint target = supervisor.target();
  const StatusView before = supervisor.wait_until_serving();
  const LoadReport report = LoadLoop(LoadPlan{target, ipv4_sources(50), 8, 200, "/", kPatience}).finish();
  EXPECT_EQ(report.failed(), 0u) << report.summary();
  EXPECT_TRUE(report.moved().empty());
  EXPECT_EQ(report.answered_by.size(), 2u);
  EXPECT_EQ(supervisor.wait_until_settled().handed, 200u);
  const StatusView after = supervisor.wait_until(
      "everything is closed and three heartbeat limits have passed", [&](const StatusView& status) {
        return status.slot(0).open == 0 && status.slot(1).open == 0 && status.uptime > before.uptime + 6;
      });
  EXPECT_EQ(after.pids(), before.pids());
}

TEST_P(PythonWorker, CrashingItLosesNothingThatItHadNotTakenUp) {
  SupervisorPlan one = plan();
  one.workers = 1;
  const Supervisor supervisor(one);
  const Endpoint target = supervisor.target();
  const pid_t worker = supervisor.wait_until_serving().slot(0).pid;
  send_signal(worker, SIGSTOP);
  ASSERT_TRUE(eventually([&] { return process_state(worker) == "T"; }));
  std::vector<HttpClient> clients;
  for (const std::string& source : ipv4_sources(40)) {
    clients.emplace_back(target, source);
    clients.back().send("/", "close");
  }
  supervisor.wait_until("all wait", [](const StatusView& status) { return status.waiting == 40; });
  send_signal(worker, SIGKILL);
  for (HttpClient& client : clients) ASSERT_TRUE(client.receive()) << name_of(client.ending());
  EXPECT_EQ(supervisor.wait_until_settled().handed, 40u);
}

TEST_P(PythonWorker, LeavesWhenItIsToldTo) {
  const Supervisor supervisor(plan());
  supervisor.wait_until_serving();
  supervisor.signal(SIGTERM);
  EXPECT_EQ(supervisor.wait_for_exit(), 0);
}

INSTANTIATE_TEST_SUITE_P(With, PythonWorker, testing::Values("", "--no-page"),
                         [](const auto& instance) { return *instance.param == '\0' ? "ThePage" : "FramesOnly"; });

}  // namespace
}  // namespace holdfast::test
