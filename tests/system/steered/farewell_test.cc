// How workers that know no drain are told to go: by which signal, and after what.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include "support/http_client.h"
#include "support/supervisor.h"
#include "system/steered/ways.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

SupervisorPlan one_worker(std::vector<std::string> options) {
  SupervisorPlan plan = plan_of(captured_plain());
  plan.workers = 1;
  plan.options.insert(plan.options.end(), options.begin(), options.end());
  return plan;
}

// A successor serves; answers with the pid of whom it replaces.
pid_t replace(const Supervisor& supervisor) {
  const pid_t before = supervisor.wait_until_serving().slot(0).pid;
  EXPECT_EQ(supervisor.tell("restart", {"0"}).exit_code, 0);
  supervisor.wait_until("a successor serves", [before](const StatusView& status) {
    return status.all_serving() && status.slot(0).pid != before;
  });
  return before;
}

TEST(Farewell, WaitsForConnectionsWhereThatIsWished) {
  const Supervisor supervisor(one_worker({"--drain-wait", "connections", "--drain-timeout", "1h"}));
  supervisor.wait_until_serving();
  HttpClient client(supervisor.target());
  ASSERT_TRUE(client.connected());
  client.send_raw("GET / HTTP/1.1\r\n");
  ASSERT_TRUE(eventually([&] {  // it has accepted: nothing waits
    return supervisor.status().json.find("\"queued\": 1") == std::string::npos;
  }));
  const pid_t leaving = replace(supervisor);
  let_pass(2500ms);  // without the wish it would be gone: its queue has been empty for more than a second
  ASSERT_TRUE(alive(leaving));
  client.send_raw("Host: test\r\n\r\n");
  const std::optional<Response> response = client.receive();
  ASSERT_TRUE(response) << name_of(client.ending());
  EXPECT_EQ(response->pid, leaving);
  EXPECT_TRUE(eventually([&] { return !alive(leaving); }));
  supervisor.wait_until_told("left on SIGTERM");
}

TEST(Farewell, ThatWaitsForConnectionsHasADeadline) {
  const Supervisor supervisor(one_worker({"--drain-wait", "connections", "--drain-timeout", "1500ms"}));
  supervisor.wait_until_serving();
  HttpClient client(supervisor.target());
  client.send_raw("GET / HTTP/1.1\r\n");
  const pid_t leaving = replace(supervisor);
  EXPECT_TRUE(client.closed_by_peer());
  EXPECT_TRUE(eventually([&] { return !alive(leaving); }));
  supervisor.wait_until_told("its time to drain is over");
}

TEST(Farewell, IsByTheSignalThatThePoolNames) {
  SupervisorPlan plan;
  plan.listen = {};
  plan.workers = 1;
  plan.options = {"--intake", "none", "--start-grace", "0", "--stop-signal", "QUIT"};
  plan.command = {"/bin/sh", "-c",
                  "trap 'echo QUIT >{dir}/said; exit 0' QUIT; echo >{dir}/begun; while :; do sleep 0.05; done"};
  const Supervisor supervisor(plan);
  ASSERT_TRUE(eventually([&] { return !text_of(supervisor.directory() / "begun").empty(); }));
  EXPECT_EQ(supervisor.tell("stop", {"--wait"}).exit_code, 0);
  EXPECT_EQ(text_of(supervisor.directory() / "said"), "QUIT\n");
}

TEST(Farewell, OfAWorkerThatHadNotYetBegunIsNoWarning) {
  SupervisorPlan plan = one_worker({"--start-timeout", "1h"});
  plan.command = {"/bin/sleep", "1000"};
  const Supervisor supervisor(plan);
  supervisor.wait_until("it has been started", [](const StatusView& status) { return status.slot(0).pid > 0; });
  EXPECT_EQ(supervisor.tell("stop", {"--wait"}).exit_code, 0);
  EXPECT_THAT(supervisor.errors(), HasSubstr("as it was told to end"));
  EXPECT_THAT(supervisor.errors(), Not(HasSubstr("warning:")));
}

}  // namespace
}  // namespace holdfast::test
