// A worker whose loop stands still is replaced; one that has nothing to do is not.
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>

#include "support/supervisor.h"

namespace holdfast::test {
namespace {

SupervisorPlan impatient() {
  SupervisorPlan plan;
  plan.options = {"--heartbeat-timeout", "1s", "--kill-timeout", "2s"};
  return plan;
}

// A client address of each slot.
std::string client_of(const Supervisor& supervisor, int slot) {
  for (int host = 1; host < 250; ++host) {
    const std::string address = "127.0.9." + std::to_string(host);
    if (supervisor.route(address) == slot) return address;
  }
  ADD_FAILURE() << "no client of slot " << slot;
  return "127.0.0.1";
}

TEST(Hang, AHungWorkerIsAbortedAndReplacedAndTheOthersServeOn) {
  const Supervisor supervisor(impatient());
  const Endpoint target = supervisor.target();
  const StatusView before = supervisor.wait_until_serving();
  const std::string client = client_of(supervisor, 0);
  const std::string neighbour = client_of(supervisor, 1);

  HttpClient victim(target, client);
  victim.send("/hang");
  HttpClient patient(target, client);  // waits behind the hung one, and is not lost with it
  patient.send("/");
  EXPECT_TRUE(get_once(target, "/", neighbour)) << "a hung worker must not hold up another slot";

  const StatusView after = supervisor.wait_until("slot 0 has a new worker", [&](const StatusView& status) {
    return status.slot(0).state == "serving" && status.slot(0).pid != before.slot(0).pid;
  });
  EXPECT_NE(after.slot(0).last_exit.find("SIGABRT"), std::string::npos) << after.slot(0).last_exit;
  EXPECT_EQ(after.slot(0).restarts, 1u);
  EXPECT_EQ(after.slot(1).pid, before.slot(1).pid);
  EXPECT_FALSE(victim.receive());
  const std::optional<Response> response = get_once(target, "/", client);
  ASSERT_TRUE(response);
  EXPECT_EQ(response->pid, after.slot(0).pid);
  EXPECT_NE(supervisor.errors().find("heartbeat"), std::string::npos) << supervisor.errors();
}

TEST(Hang, AnIdleWorkerIsNotAHungOne) {
  const Supervisor supervisor(impatient());
  const StatusView before = supervisor.wait_until_serving();
  const StatusView after = supervisor.wait_until(
      "four heartbeat limits have passed", [&](const StatusView& status) { return status.uptime > before.uptime + 4; });
  EXPECT_EQ(after.pids(), before.pids());
  EXPECT_EQ(after.restarts(), 0u);
}

TEST(Hang, AWorkerThatHangsWhileItDrainsIsAbortedLongBeforeTheDrainWouldBeOver) {
  SupervisorPlan plan = impatient();
  plan.workers = 1;
  plan.options.insert(plan.options.end(), {"--drain-timeout", "50s"});
  const Supervisor supervisor(plan);
  const Endpoint target = supervisor.target();
  supervisor.wait_until_serving();
  HttpClient busy(target);  // so that it does not leave at once
  busy.send("/slow?ms=60000");
  supervisor.wait_until("it is taken up", [](const StatusView& status) { return status.handed == 1; });
  supervisor.signal(SIGTERM);
  const StatusView draining =
      supervisor.wait_until("it drains", [](const StatusView& status) { return status.slot(0).state == "draining"; });
  send_signal(draining.slot(0).pid, SIGSTOP);  // it neither beats nor leaves
  EXPECT_EQ(supervisor.wait_for_exit(), 0);
  EXPECT_NE(supervisor.errors().find("SIGABRT"), std::string::npos) << supervisor.errors();
  EXPECT_NE(supervisor.errors().find("it gave no heartbeat"), std::string::npos) << supervisor.errors();
}

// What a paused container or a debugger does. The time that passes is what is tested, so here the test does wait for it.
TEST(Hang, WhenTheSupervisorItselfDidNotRunNobodyIsTakenForHung) {
  const Supervisor supervisor(impatient());
  const StatusView before = supervisor.wait_until_serving();
  for (const pid_t worker : before.pids()) ::kill(worker, SIGSTOP);
  supervisor.signal(SIGSTOP);
  (void)::poll(nullptr, 0, 3000);
  // The supervisor first: it finds every heartbeat overdue.
  supervisor.signal(SIGCONT);
  for (const pid_t worker : before.pids()) ::kill(worker, SIGCONT);
  const StatusView after = supervisor.wait_until(
      "a heartbeat limit has passed", [&](const StatusView& status) { return status.uptime > before.uptime + 5; });
  EXPECT_EQ(after.pids(), before.pids());
  EXPECT_EQ(after.restarts(), 0u);
}

TEST(Hang, AWorkerThatNeverBecomesReadyIsReplaced) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.options = {"--start-timeout", "500ms", "--kill-timeout", "500ms"};
  // Sleeps the first time, serves the second time.
  plan.command = {"/bin/sh", "-c",
                  "if [ -e {dir}/once ]; then exec " + whoami_program() + "; fi; : >{dir}/once; exec sleep 1000"};
  const Supervisor supervisor(plan);
  const StatusView status = supervisor.wait_until_serving();
  EXPECT_EQ(status.slot(0).restarts, 1u);
  EXPECT_TRUE(get_once(supervisor.target(), "/"));
}

}  // namespace
}  // namespace holdfast::test
