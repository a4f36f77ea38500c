// `restart` under load: every worker is replaced, nobody notices.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

TEST(RollingRestart, UnderLoadNoConnectionFailsAndNoClientMoves) {
  SupervisorPlan plan;
  plan.workers = 3;
  const Supervisor supervisor(plan);
  const Endpoint target = supervisor.target();
  const StatusView before = supervisor.wait_until_serving();
  LoadLoop load(LoadPlan{target, ipv4_sources(300), 32, std::nullopt, "/", kPatience});
  ASSERT_TRUE(eventually([&] { return load.answered() > 100; }));

  const Ran ran = supervisor.tell("restart", {"--wait"});
  EXPECT_EQ(ran.exit_code, 0) << ran.output << ran.errors;
  const StatusView after = supervisor.status();
  EXPECT_TRUE(after.all_serving()) << after.json;
  const std::uint64_t answered = load.answered();
  EXPECT_TRUE(eventually([&] { return load.answered() > answered + 500; }));
  const LoadReport report = load.stop();

  EXPECT_EQ(report.failed(), 0u) << report.summary();
  EXPECT_TRUE(report.moved().empty()) << report.moved().size() << " clients moved";
  for (unsigned slot = 0; slot < 3; ++slot) {
    EXPECT_NE(after.slot(slot).pid, before.slot(slot).pid) << "slot " << slot << " has its old worker";
    EXPECT_TRUE(report.answered_by.contains(before.slot(slot).pid));
    EXPECT_TRUE(report.answered_by.contains(after.slot(slot).pid));
    EXPECT_EQ(after.slot(slot).buckets, before.slot(slot).buckets);
  }
  const StatusView settled = supervisor.wait_until_settled();
  EXPECT_EQ(settled.accepted, report.connections());
  EXPECT_EQ(settled.handed, report.connections());
  EXPECT_TRUE(eventually([&] { return children_of(supervisor.pid()).size() == 3; })) << "the old workers stay";
}

TEST(RollingRestart, OfOneSlotLeavesTheOthersAlone) {
  const Supervisor supervisor;
  const StatusView before = supervisor.wait_until_serving();
  const Ran ran = supervisor.tell("restart", {"1", "--wait"});
  EXPECT_EQ(ran.exit_code, 0) << ran.output << ran.errors;
  const StatusView after = supervisor.status();
  EXPECT_EQ(after.slot(0).pid, before.slot(0).pid);
  EXPECT_NE(after.slot(1).pid, before.slot(1).pid);
}

TEST(RollingRestart, ARequestUnderWayIsFinishedByTheOldWorker) {
  SupervisorPlan plan;
  plan.workers = 1;
  const Supervisor supervisor(plan);
  const Endpoint target = supervisor.target();
  const StatusView before = supervisor.wait_until_serving();
  HttpClient busy(target);
  busy.send("/slow?ms=1000");
  supervisor.wait_until("it is taken up", [](const StatusView& status) { return status.handed == 1; });
  EXPECT_EQ(supervisor.tell("restart").exit_code, 0);
  supervisor.wait_until("the successor serves", [&](const StatusView& status) {
    return status.all_serving() && status.slot(0).pid != before.slot(0).pid;
  });
  const std::optional<Response> newer = get_once(target, "/");
  ASSERT_TRUE(newer);
  EXPECT_NE(newer->pid, before.slot(0).pid);
  const std::optional<Response> older = busy.receive();
  ASSERT_TRUE(older) << name_of(busy.ending());
  EXPECT_EQ(older->pid, before.slot(0).pid);
}

TEST(RollingRestart, WhatTheOldWorkerHadNotTakenUpIsServedByTheNewOne) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.options = {"--heartbeat-timeout", "0"};
  const Supervisor supervisor(plan);
  const Endpoint target = supervisor.target();
  const pid_t old_worker = supervisor.wait_until_serving().slot(0).pid;
  send_signal(old_worker, SIGSTOP);
  ASSERT_TRUE(eventually([&] { return process_state(old_worker) == "T"; }));
  std::vector<HttpClient> clients;
  for (const std::string& source : ipv4_sources(80)) {
    clients.emplace_back(target, source);
    clients.back().send("/", "close");
  }
  supervisor.wait_until("all wait", [](const StatusView& status) { return status.waiting == 80; });
  EXPECT_EQ(supervisor.tell("restart").exit_code, 0);
  for (HttpClient& client : clients) {
    const std::optional<Response> response = client.receive();
    ASSERT_TRUE(response) << name_of(client.ending());
    EXPECT_NE(response->pid, old_worker);
  }
  EXPECT_EQ(supervisor.wait_until_settled().handed, 80u);
  send_signal(old_worker, SIGCONT);
}

TEST(RollingRestart, ASuccessorThatFailsLeavesTheOldWorkerServing) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.command = {"/bin/sh", "-c", "[ -e {dir}/broken ] && exit 9; exec " + whoami_program()};
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  write_text(supervisor.directory() / "broken", "");
  const Ran ran = supervisor.tell("restart", {"--wait"});
  EXPECT_EQ(ran.exit_code, 1) << ran.output << ran.errors;
  EXPECT_FALSE(ran.errors.empty()) << "it must say why";
  EXPECT_EQ(supervisor.status().slot(0).pid, before.slot(0).pid);
  EXPECT_TRUE(get_once(supervisor.target(), "/"));
}

TEST(RollingRestart, ASlotThatIsNoneIsRefused) {
  const Supervisor supervisor;
  const StatusView before = supervisor.wait_until_serving();
  const Ran ran = supervisor.tell("restart", {"17", "--wait"});
  EXPECT_NE(ran.exit_code, 0);
  EXPECT_NE(ran.errors.find("17"), std::string::npos) << ran.errors;
  EXPECT_EQ(supervisor.status().pids(), before.pids());
}

}  // namespace
}  // namespace holdfast::test
