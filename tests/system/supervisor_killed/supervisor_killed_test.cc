// The supervisor dies without a word: its workers finish what they have and leave, and a new one can start at once.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "support/supervisor.h"

namespace holdfast::test {
namespace {

bool all_gone(const std::vector<pid_t>& pids) {
  (void)orphans();  // collects the dead
  return std::none_of(pids.begin(), pids.end(), [](pid_t pid) { return alive(pid); });
}

TEST(SupervisorKilled, WorkersFinishTheirRequestsAndLeave) {
  Supervisor supervisor;
  const Endpoint target = supervisor.target();
  const std::vector<pid_t> workers = supervisor.wait_until_serving().pids();
  HttpClient busy(target);
  busy.send("/slow?ms=700");
  HttpClient idle(target);
  ASSERT_TRUE(idle.get("/"));
  supervisor.wait_until("both are taken up", [](const StatusView& status) { return status.handed == 2; });

  supervisor.kill_hard();
  const std::optional<Response> response = busy.receive();
  ASSERT_TRUE(response) << "a request that was under way must be finished: " << name_of(busy.ending());
  EXPECT_EQ(response->code, 200);
  EXPECT_TRUE(idle.closed_by_peer());
  EXPECT_TRUE(eventually([&] { return all_gone(workers); })) << "workers stay without a supervisor";
}

TEST(SupervisorKilled, WorkersThatHaveNoChannelAreToldToEnd) {
  SupervisorPlan plan;
  plan.workers = 2;
  plan.listen = {};
  plan.options = {"--intake", "none", "--start-grace", "0"};
  plan.command = {"/bin/sleep", "1000"};
  Supervisor supervisor(plan);
  const std::vector<pid_t> workers = supervisor.wait_until_serving().pids();
  ASSERT_EQ(workers.size(), 2U);
  supervisor.kill_hard();
  EXPECT_TRUE(eventually([&] { return all_gone(workers); })) << "workers stay without a supervisor";
}

TEST(SupervisorKilled, ThePortAndTheControlSocketAreFreeForTheNextOne) {
  const TempDirectory directory;
  SupervisorPlan plan;
  plan.listen = {"127.0.0.1:0", "unix:{dir}/front"};
  Supervisor first(plan, &directory);
  first.wait_until_serving();
  plan.listen[0] = first.address(0);
  HttpClient client(first.target());
  ASSERT_TRUE(client.get("/"));
  const std::vector<pid_t> workers = first.status().pids();
  first.kill_hard();
  EXPECT_TRUE(eventually([&] { return all_gone(workers); }));

  const Ran asked = run({holdfast_program(), "status", "--control", first.control()});
  EXPECT_EQ(asked.exit_code, 1) << asked.output << asked.errors;
  const Supervisor second(plan, &directory, first.control());
  second.wait_until_serving();
  EXPECT_TRUE(get_once(second.target(0), "/"));
  EXPECT_TRUE(get_once(second.target(1), "/")) << "the path that the dead one left must be taken over";
}

TEST(SupervisorKilled, AConnectionThatNobodyHadTakenUpIsCutNotForgotten) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.options = {"--heartbeat-timeout", "0"};
  Supervisor supervisor(plan);
  const Endpoint target = supervisor.target();
  const pid_t worker = supervisor.wait_until_serving().slot(0).pid;
  send_signal(worker, SIGSTOP);
  HttpClient client(target);
  client.send("/");
  supervisor.wait_until("it waits", [](const StatusView& status) { return status.waiting == 1; });
  supervisor.kill_hard();
  send_signal(worker, SIGCONT);
  // The worker may still read and serve it, or leave; what it may not do is to leave the client hanging.
  EXPECT_TRUE(client.receive() || client.ending() == Ending::Reset) << name_of(client.ending());
  EXPECT_TRUE(eventually([&] { return all_gone({worker}); }));
}

}  // namespace
}  // namespace holdfast::test
