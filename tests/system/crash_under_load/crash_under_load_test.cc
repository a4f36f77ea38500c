// Workers are killed under load: only connections that a dead worker had taken up fail.
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include <random>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

using namespace std::chrono_literals;

constexpr Duration kStormLength = 20s;

std::uint64_t seed() {
  const char* given = ::getenv("HOLDFAST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
}

std::map<std::string, int> routes(const Supervisor& supervisor, const std::vector<std::string>& sources) {
  std::map<std::string, int> result;
  for (const std::string& source : sources) result[source] = supervisor.route(source);
  return result;
}

SupervisorPlan four_workers() {
  SupervisorPlan plan;
  plan.workers = 4;
  plan.options = {"--restart-delay",     "0", "--restart-delay-step", "0",
                  "--restart-delay-max", "0", "--start-limit",        "0"};
  return plan;
}

// Stops a worker at a moment when what it says of itself is true: not between receiving connections and counting them. That is so
// in every system call but the one that receives. Answers whether it succeeded.
bool freeze(pid_t worker) {
  constexpr int kTries = 500;
  for (int i = 0; i < kTries && alive(worker); ++i) {
    send_signal(worker, SIGCONT);
    send_signal(worker, SIGSTOP);
    if (!eventually([&] { return process_state(worker) == "T" || !alive(worker); })) return false;
    const long call = system_call_of(worker);
    if (call >= 0 && call != SYS_recvmsg) return true;
  }
  send_signal(worker, SIGCONT);
  return false;
}

// Stops the worker, so that what it has taken up stands still, asks how much that is, and kills it.
// Answers how many connections may fail by this; nothing if nobody was killed.
std::optional<std::uint64_t> freeze_and_kill(const Supervisor& supervisor, unsigned slot) {
  const pid_t worker = supervisor.status().slot(slot).pid;
  if (worker <= 0 || !freeze(worker)) return std::nullopt;
  const StatusView frozen = supervisor.status();
  send_signal(worker, SIGKILL);
  return frozen.slot(slot).pid == worker ? frozen.slot(slot).open : 0;
}

TEST(CrashUnderLoad, OnlyConnectionsThatTheDeadWorkerHadTakenUpFail) {
  const std::uint64_t random_seed = seed();
  SCOPED_TRACE("HOLDFAST_SEED=" + std::to_string(random_seed));
  std::mt19937_64 random(random_seed);
  const Supervisor supervisor(four_workers());
  const Endpoint target = supervisor.target();
  supervisor.wait_until_serving();
  const std::vector<std::string> sources = ipv4_sources(400);
  const std::vector<std::string> asked(sources.begin(), sources.begin() + 10);
  const std::map<std::string, int> routes_before = routes(supervisor, asked);

  LoadLoop load(LoadPlan{target, sources, 48, std::nullopt, "/", kPatience});
  std::uint64_t kills = 0;
  std::uint64_t may_fail = 0;
  for (const Clock::time_point end = Clock::now() + kStormLength; Clock::now() < end && !HasFailure();) {
    const std::uint64_t answered = load.answered();
    EXPECT_TRUE(eventually([&] { return load.answered() >= answered + 20; })) << "the load does not flow";
    if (const auto open = freeze_and_kill(supervisor, static_cast<unsigned>(random() % 4))) {
      may_fail += *open;
      ++kills;
    }
  }
  const LoadReport report = load.stop();
  const StatusView status = supervisor.wait_until_settled();

  EXPECT_GT(kills, 5u);
  EXPECT_LE(report.failed(), may_fail) << report.summary();
  EXPECT_EQ(report.endings.count(Ending::TimedOut), 0u) << report.summary();
  EXPECT_EQ(report.endings.count(Ending::Refused), 0u) << report.summary();
  EXPECT_EQ(status.accepted, report.connections());
  EXPECT_EQ(status.refused_in_all(), 0u);
  EXPECT_EQ(status.handed, report.answered() + report.failed());
  EXPECT_TRUE(report.moved().empty()) << report.moved().size() << " clients moved";
  supervisor.wait_until_serving();
  EXPECT_EQ(routes(supervisor, asked), routes_before);
  std::cout << kills << " kills, " << may_fail << " connections were taken up then; " << report.summary() << "\n";
}

TEST(CrashUnderLoad, KilledWithoutWarningTheAccountStillBalances) {
  const std::uint64_t random_seed = seed();
  SCOPED_TRACE("HOLDFAST_SEED=" + std::to_string(random_seed));
  std::mt19937_64 random(random_seed);
  const Supervisor supervisor(four_workers());
  const Endpoint target = supervisor.target();
  supervisor.wait_until_serving();
  LoadLoop load(LoadPlan{target, ipv4_sources(400), 48, std::nullopt, "/", kPatience});
  for (const Clock::time_point end = Clock::now() + kStormLength / 2; Clock::now() < end && !HasFailure();) {
    const StatusView status = supervisor.status();
    EXPECT_TRUE(status.balanced()) << status.json;
    const pid_t victim = status.slot(static_cast<unsigned>(random() % 4)).pid;
    if (victim > 0) send_signal(victim, SIGKILL);
    const std::uint64_t answered = load.answered();
    EXPECT_TRUE(eventually([&] { return load.answered() >= answered + 20; })) << "the load does not flow";
  }
  const LoadReport report = load.stop();
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(report.endings.count(Ending::TimedOut), 0u) << report.summary();
  EXPECT_EQ(report.endings.count(Ending::Refused), 0u) << report.summary();
  EXPECT_EQ(status.accepted, report.connections());
  EXPECT_EQ(status.handed, report.connections()) << "a connection that failed had not been taken up by anybody";
  EXPECT_TRUE(report.moved().empty()) << report.moved().size() << " clients moved";
  supervisor.wait_until_serving();
}

TEST(CrashUnderLoad, WhatWaitsForADeadWorkerIsServedByTheNextOne) {
  SupervisorPlan plan = four_workers();
  plan.workers = 1;
  const Supervisor supervisor(plan);
  const Endpoint target = supervisor.target();
  const pid_t first = supervisor.wait_until_serving().slot(0).pid;
  send_signal(first, SIGSTOP);
  ASSERT_TRUE(eventually([&] { return process_state(first) == "T"; }));

  constexpr std::uint64_t kClients = 100;
  std::vector<HttpClient> clients;
  for (std::uint64_t i = 0; i < kClients; ++i) {
    clients.emplace_back(target);
    clients.back().send("/");
  }
  const StatusView queued =
      supervisor.wait_until("all wait", [](const StatusView& status) { return status.waiting == kClients; });
  EXPECT_EQ(queued.handed, 0u);
  send_signal(first, SIGKILL);
  for (HttpClient& client : clients) {
    const std::optional<Response> response = client.receive();
    ASSERT_TRUE(response) << name_of(client.ending());
    EXPECT_NE(response->pid, first);
  }
  EXPECT_EQ(supervisor.wait_until_settled().handed, kClients);
}

}  // namespace
}  // namespace holdfast::test
