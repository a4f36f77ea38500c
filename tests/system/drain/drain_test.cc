// A worker that is replaced lets its clients go over a time, and status tells who is still there.
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <vector>

#include "support/supervisor.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

std::vector<HttpClient> idle_clients(const Supervisor& supervisor, unsigned count) {
  std::vector<HttpClient> clients;
  for (unsigned i = 0; i < count; i++) {
    clients.emplace_back(supervisor.target());
    EXPECT_TRUE(clients.back().get("/"));
  }
  return clients;
}

TEST(Drain, ConnectionsOfAReplacedWorkerCloseOverTheSpreadAndStatusTellsOfThem) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.options = {"--drain-spread", "4s", "--drain-timeout", "50s"};
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  std::vector<HttpClient> clients = idle_clients(supervisor, 60);
  ASSERT_EQ(supervisor.tell("restart", {"--wait"}).exit_code, 0);
  const auto start = std::chrono::steady_clock::now();

  const StatusView draining = supervisor.wait_until("it departs", [&](const StatusView& status) {
    return status.slot(0).pid != before.slot(0).pid && status.slot(0).others.size() == 1;
  });
  const WorkerView departing = draining.slot(0).others[0];
  EXPECT_EQ(departing.pid, before.slot(0).pid);
  EXPECT_EQ(departing.state, "draining");
  EXPECT_GT(departing.open, 0u);
  EXPECT_LE(departing.open, 60u);
  EXPECT_LT(departing.draining.value_or(99), 40);
  EXPECT_GT(departing.ends_in.value_or(0), 5);

  std::vector<std::chrono::duration<double>> closed;
  std::vector<HttpClient*> open;
  for (HttpClient& client : clients) open.push_back(&client);
  EXPECT_TRUE(eventually([&] {
    std::erase_if(open, [&](HttpClient* client) {
      if (!client->closed_by_peer(0ms)) return false;
      closed.emplace_back(std::chrono::steady_clock::now() - start);
      return true;
    });
    return open.empty();
  }));
  ASSERT_EQ(closed.size(), 60u);
  // Evenly: neither all at the beginning nor all at the end. However slow the machine is, it does not make them earlier.
  EXPECT_GT(closed.back().count() - closed.front().count(), 2.0);
  EXPECT_TRUE(eventually([&] { return supervisor.status().slot(0).others.empty(); }))
      << "it leaves when nothing is open";
}

TEST(Drain, WhatAWorkerHasOpenThatDoesNotTellIsLookedUp) {
  if (std::system("node --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "there is no node here";
  const TempDirectory directory;
  write_text(directory / "server.js",
             "require('node:http').createServer((request, response) => {\n"
             "  if (request.url === '/') response.end('{}');\n"  // the others wait
             "}).listen(3000);\n");
  SupervisorPlan plan;
  plan.workers = 1;
  plan.options = {"--intake", "node", "--drain-timeout", "1h"};
  plan.command = {"node", directory / "server.js"};
  const Supervisor supervisor(plan);
  const StatusView before = supervisor.wait_until_serving();
  std::vector<HttpClient> waiting;
  for (int i = 0; i < 3; i++) {
    waiting.emplace_back(supervisor.target());
    waiting.back().send("/wait");
  }
  supervisor.wait_until("all are with the worker", [](const StatusView& status) { return status.slot(0).handed == 3; });
  ASSERT_EQ(supervisor.tell("restart", {"--wait"}).exit_code, 0);
  const auto departing = [&] {
    const Ran asked = supervisor.tell("status", {"--json"});
    const auto others = nlohmann::json::parse(asked.output)["pools"][0]["slots"][0]["others"];
    return others.empty() ? nlohmann::json::object() : others[0];
  };
  EXPECT_EQ(departing().value("pid", 0), before.slot(0).pid);
  EXPECT_TRUE(eventually([&] { return departing().value("open", 0) == 3; })) << departing();
  waiting.pop_back();
  EXPECT_TRUE(eventually([&] { return departing().value("open", 0) == 2; })) << departing();
}

TEST(Drain, AStopSpreadsNothing) {
  SupervisorPlan plan;
  plan.workers = 1;
  plan.options = {"--drain-spread", "50s", "--drain-timeout", "50s"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  const std::vector<HttpClient> clients = idle_clients(supervisor, 3);
  supervisor.signal(SIGTERM);
  EXPECT_EQ(supervisor.wait_for_exit(), 0);
}

}  // namespace
}  // namespace holdfast::test
