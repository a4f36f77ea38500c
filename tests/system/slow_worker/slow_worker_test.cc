// A worker that takes nothing up: what happens to its clients is what --overflow says.
#include <gtest/gtest.h>
#include <signal.h>

#include "support/load_loop.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

SupervisorPlan small_queues(unsigned workers, const std::string& overflow) {
  SupervisorPlan plan;
  plan.workers = workers;
  // No heartbeat limit: a stopped worker would be replaced.
  plan.options = {"--overflow", overflow, "--queue-limit", "8", "--heartbeat-timeout", "0"};
  return plan;
}

void freeze(pid_t worker) {
  send_signal(worker, SIGSTOP);
  ASSERT_TRUE(eventually([&] { return process_state(worker) == "T"; }));
}

std::vector<HttpClient> ask_from(const Endpoint& target, const std::vector<std::string>& sources) {
  std::vector<HttpClient> clients;
  for (const std::string& source : sources) {
    clients.emplace_back(target, source);
    EXPECT_TRUE(clients.back().connected());
    clients.back().send("/", "close");
  }
  return clients;
}

// The clients of one slot, as the slot itself says.
std::vector<std::string> clients_of(const Endpoint& target, int slot) {
  const LoadReport report = LoadLoop(LoadPlan{target, ipv4_sources(300), 16, 300, "/", kPatience}).finish();
  std::vector<std::string> sources;
  for (const auto& [source, slots] : report.slots) {
    if (slots.contains(slot)) sources.push_back(source);
  }
  return sources;
}

TEST(SlowWorker, WithNobodyToTakeThemUpClientsWaitInTheKernelsBacklog) {
  const Supervisor supervisor(small_queues(1, "wait"));
  const Endpoint target = supervisor.target();
  const pid_t worker = supervisor.wait_until_serving().slot(0).pid;
  freeze(worker);
  constexpr unsigned kClients = 300;
  std::vector<HttpClient> clients = ask_from(target, ipv4_sources(kClients));
  const StatusView full =
      supervisor.wait_until("the listener pauses", [](const StatusView& status) { return status.listeners[0].paused; });
  EXPECT_GE(full.waiting, 8u);
  EXPECT_LE(full.waiting, 8u + 64u) << "at most the limit and one batch may be inside";
  EXPECT_EQ(full.accepted, full.waiting);
  EXPECT_EQ(full.refused_in_all(), 0u);

  const Duration before = cpu_time_of(supervisor.pid());
  let_pass(std::chrono::seconds(1));
  EXPECT_LT(cpu_time_of(supervisor.pid()) - before, std::chrono::milliseconds(50) * kSlowness)
      << "it spins while paused";

  send_signal(worker, SIGCONT);
  for (HttpClient& client : clients) ASSERT_TRUE(client.receive()) << name_of(client.ending());
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(status.handed, kClients);
  EXPECT_FALSE(status.listeners[0].paused);
  EXPECT_EQ(status.slot(0).pid, worker);
}

TEST(SlowWorker, WithOverflowNextTheOtherSlotServesWhatDoesNotFit) {
  const Supervisor supervisor(small_queues(2, "next"));
  const Endpoint target = supervisor.target();
  const StatusView before = supervisor.wait_until_serving();
  const std::vector<std::string> sources = clients_of(target, 0);
  supervisor.wait_until_settled();
  freeze(before.slot(0).pid);
  std::vector<HttpClient> clients = ask_from(target, sources);
  ASSERT_GT(clients.size(), 50u);
  const StatusView spilt = supervisor.wait_until("only the queue of slot 0 waits", [&](const StatusView& status) {
    return status.accepted == 300 + sources.size() && status.waiting <= 8;
  });
  EXPECT_EQ(spilt.slot(0).waiting, 8u);
  send_signal(before.slot(0).pid, SIGCONT);
  std::map<int, unsigned> served;
  for (HttpClient& client : clients) {
    const std::optional<Response> response = client.receive();
    ASSERT_TRUE(response) << name_of(client.ending());
    ++served[response->slot];
  }
  EXPECT_EQ(served[0], 8u);
  EXPECT_EQ(served[1], sources.size() - 8);
  EXPECT_EQ(supervisor.wait_until_settled().refused_in_all(), 0u);
}

TEST(SlowWorker, WithOverflowRefuseWhatDoesNotFitIsResetAndCounted) {
  const Supervisor supervisor(small_queues(1, "refuse"));
  const Endpoint target = supervisor.target();
  const pid_t worker = supervisor.wait_until_serving().slot(0).pid;
  freeze(worker);
  constexpr unsigned kClients = 100;
  std::vector<HttpClient> clients = ask_from(target, ipv4_sources(kClients));
  const StatusView full =
      supervisor.wait_until("all are accepted", [](const StatusView& status) { return status.accepted == kClients; });
  EXPECT_TRUE(full.balanced()) << full.json;
  EXPECT_EQ(full.waiting, 8u);
  EXPECT_EQ(full.refused_in_all(), kClients - 8);
  EXPECT_EQ(full.listeners[0].refused, full.refused) << "a refusal has a listener and a reason";
  send_signal(worker, SIGCONT);
  unsigned answered = 0;
  for (HttpClient& client : clients) {
    if (client.receive()) {
      ++answered;
    } else {
      EXPECT_EQ(client.ending(), Ending::Reset);
    }
  }
  EXPECT_EQ(answered, 8u);
  EXPECT_EQ(supervisor.wait_until_settled().handed, 8u);
}

TEST(SlowWorker, OneThatHangsWhileItsQueueIsFullIsReplacedAndNobodyIsLost) {
  SupervisorPlan plan = small_queues(1, "wait");
  plan.options = {"--overflow", "wait", "--queue-limit", "8", "--heartbeat-timeout", "1s", "--kill-timeout", "500ms"};
  const Supervisor supervisor(plan);
  const Endpoint target = supervisor.target();
  const pid_t worker = supervisor.wait_until_serving().slot(0).pid;
  freeze(worker);
  std::vector<HttpClient> clients = ask_from(target, ipv4_sources(100));
  for (HttpClient& client : clients) {
    const std::optional<Response> response = client.receive();
    ASSERT_TRUE(response) << name_of(client.ending());
    EXPECT_NE(response->pid, worker);
  }
  EXPECT_EQ(supervisor.wait_until_settled().handed, 100u);
}

}  // namespace
}  // namespace holdfast::test
