// Workers that fail their health checks get no new clients, and come back when they pass.
#include <gtest/gtest.h>
#include <signal.h>

#include <unistd.h>

#include "support/supervisor.h"

namespace holdfast::test {
namespace {

SupervisorPlan checked(std::vector<std::string> more = {}) {
  SupervisorPlan plan;
  plan.options = {"--intake",      "sdk", "--health-http", "/healthz", "--health-interval", "100ms",
                  "--health-fail", "2",   "--health-pass", "2",        "--health-timeout",  "5s"};
  plan.options.insert(plan.options.end(), more.begin(), more.end());
  return plan;
}

std::string client_of(const Supervisor& supervisor, int slot) {
  for (int host = 1; host < 250; ++host) {
    const std::string address = "127.0.9." + std::to_string(host);
    if (supervisor.route(address) == slot) return address;
  }
  ADD_FAILURE() << "no client of slot " << slot;
  return "127.0.0.1";
}

auto is_unhealthy(unsigned slot) {
  return [slot](const StatusView& status) { return status.slot(slot).health == "unhealthy"; };
}

TEST(Health, NewClientsOfAnUnhealthyWorkerGoElsewhereUntilItPassesAgain) {
  const Supervisor supervisor(checked());
  const Endpoint target = supervisor.target();
  const StatusView before = supervisor.wait_until_serving();
  const std::string client = client_of(supervisor, 0);
  HttpClient open(target, client);
  ASSERT_TRUE(open.get("/ill"));

  const StatusView ill = supervisor.wait_until("slot 0 is unhealthy and has lent its buckets", [](const StatusView& s) {
    return s.slot(0).health == "unhealthy" && s.slot(0).buckets == 0;
  });
  EXPECT_EQ(ill.slot(0).last_check, "GET /healthz: 503 Service Unavailable");
  EXPECT_EQ(ill.slot(1).health, "healthy");
  EXPECT_TRUE(ill.balanced()) << ill.json;
  EXPECT_EQ(ill.listeners.at(0).accepted, ill.accepted) << "a check is no client of the listener";
  EXPECT_GT(ill.checks, 0u);
  const std::optional<Response> elsewhere = get_once(target, "/", client);
  ASSERT_TRUE(elsewhere);
  EXPECT_EQ(elsewhere->slot, 1);
  EXPECT_NE(supervisor.errors().find("is unhealthy: GET /healthz: 503 Service Unavailable"), std::string::npos);

  const std::optional<Response> kept = open.get("/well");
  ASSERT_TRUE(kept) << "who is connected stays";
  EXPECT_EQ(kept->pid, before.slot(0).pid);
  supervisor.wait_until("slot 0 has its buckets again", [&](const StatusView& s) {
    return s.slot(0).health == "healthy" && s.slot(0).buckets == before.slot(0).buckets;
  });
  const std::optional<Response> back = get_once(target, "/", client);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->pid, before.slot(0).pid);
  supervisor.wait_until("the account balances", [](const StatusView& s) { return s.balanced() && s.waiting == 0; });
}

TEST(Health, ByPolicyAnUnhealthyWorkerIsReplaced) {
  const Supervisor supervisor(checked({"--health-action", "restart"}));
  const StatusView before = supervisor.wait_until_serving();
  const std::string client = client_of(supervisor, 0);
  ASSERT_TRUE(get_once(supervisor.target(), "/ill", client));
  const StatusView after = supervisor.wait_until("slot 0 has another worker, which is well", [&](const StatusView& s) {
    return s.all_serving() && s.slot(0).pid != before.slot(0).pid && s.slot(0).health == "healthy" &&
           s.slot(0).buckets == before.slot(0).buckets;
  });
  EXPECT_EQ(after.slot(1).pid, before.slot(1).pid);
  EXPECT_TRUE(get_once(supervisor.target(), "/", client));
}

TEST(Health, WhenAllAreIllEachServesItsOwnClients) {
  const Supervisor supervisor(checked());
  const StatusView before = supervisor.wait_until_serving();
  const std::vector<std::string> clients = {client_of(supervisor, 0), client_of(supervisor, 1)};
  HttpClient first(supervisor.target(), clients[0]);
  HttpClient second(supervisor.target(), clients[1]);
  ASSERT_TRUE(first.get("/ill"));
  ASSERT_TRUE(second.get("/ill"));
  const StatusView ill = supervisor.wait_until("both are unhealthy and have their buckets", [&](const StatusView& s) {
    return s.slot(0).health == "unhealthy" && s.slot(1).health == "unhealthy" &&
           s.slot(0).buckets == before.slot(0).buckets && s.slot(1).buckets == before.slot(1).buckets;
  });
  EXPECT_TRUE(get_once(supervisor.target(), "/", clients[0]));
  EXPECT_TRUE(get_once(supervisor.target(), "/", clients[1]));
  EXPECT_EQ(ill.restarts(), 0u);
}

TEST(Health, AWorkerThatDoesNotAnswerFailsAndIsNotFloodedWithChecks) {
  SupervisorPlan plan = checked({"--heartbeat-timeout", "0"});
  plan.options[11] = "200ms";  // --health-timeout
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  send_signal(before.slot(0).pid, SIGSTOP);
  const StatusView ill = supervisor.wait_until("it is unhealthy, and its buckets are lent", [](const StatusView& s) {
    return s.slot(0).health == "unhealthy" && s.slot(0).buckets == 0;
  });
  EXPECT_FALSE(ill.slot(0).last_check.empty());
  const std::string client = client_of(supervisor, 1);
  EXPECT_TRUE(get_once(supervisor.target(), "/", client));
  const StatusView later = supervisor.wait_until("the healthy one was checked many times more",
                                                 [&](const StatusView& s) { return s.checks > ill.checks + 20; });
  EXPECT_LE(later.slot(0).waiting, 1u) << later.json;
  EXPECT_TRUE(later.balanced()) << later.json;
  send_signal(before.slot(0).pid, SIGCONT);
  supervisor.wait_until("it is healthy again", [&](const StatusView& s) {
    return s.slot(0).health == "healthy" && s.slot(0).buckets == before.slot(0).buckets;
  });
}

TEST(Health, ACommandChecksWorkersOfEveryKind) {
  SupervisorPlan plan;
  plan.options = {
      "--health-interval",
      "100ms",
      "--health-fail",
      "2",
      "--health-pass",
      "1",
      "--set",
      R"(pools.main.health.command=["/bin/sh", "-c", "kill -0 $HOLDFAST_PID && test ! -e {dir}/ill-$HOLDFAST_SLOT || { echo ill of heart; exit 3; }"])"};
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  supervisor.wait_until("both were checked", [](const StatusView& s) {
    return s.slot(0).health == "healthy" && !s.slot(0).last_check.empty() && !s.slot(1).last_check.empty();
  });
  write_text(supervisor.directory() / "ill-1", "");
  const StatusView ill = supervisor.wait_until("slot 1 is unhealthy", is_unhealthy(1));
  EXPECT_EQ(ill.slot(1).last_check, "the check exited with code 3: ill of heart");
  EXPECT_EQ(ill.slot(0).health, "healthy");
  ::unlink((supervisor.directory() / "ill-1").c_str());
  supervisor.wait_until("slot 1 is healthy", [&](const StatusView& s) {
    return s.slot(1).health == "healthy" && s.slot(1).buckets == before.slot(1).buckets;
  });
}

TEST(Health, ACheckThatNeverEndsIsKilledAndHasFailed) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.options = {"--health-interval",
                  "100ms",
                  "--health-timeout",
                  "100ms",
                  "--health-fail",
                  "1",
                  "--set",
                  R"(pools.main.health-command=["/bin/sleep", "1000"])"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  const StatusView ill = supervisor.wait_until("it is unhealthy", is_unhealthy(0));
  EXPECT_EQ(ill.slot(0).last_check, "the check: no answer within 100ms");
  EXPECT_TRUE(eventually([&] { return children_of(supervisor.pid()).size() <= 2; })) << "killed checks stay";
  EXPECT_EQ(supervisor.tell("stop", {"--wait"}).exit_code, 0);
}

}  // namespace
}  // namespace holdfast::test
