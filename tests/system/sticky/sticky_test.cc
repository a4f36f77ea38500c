// Every client is always served by the same slot.
#include <gtest/gtest.h>

#include <iterator>

#include "support/load_loop.h"
#include "support/network_namespace.h"
#include "support/supervisor.h"

namespace holdfast::test {
namespace {

constexpr unsigned kSources = 1000;
constexpr unsigned kRounds = 3;
constexpr unsigned kWorkers = 4;

SupervisorPlan four_workers(const std::string& address) {
  SupervisorPlan plan;
  plan.listen = {address};
  plan.workers = kWorkers;
  return plan;
}

LoadReport three_rounds(const Endpoint& target, const std::vector<std::string>& sources) {
  LoadPlan load;
  load.target = target;
  load.sources = sources;
  load.connections = kRounds * sources.size();
  return LoadLoop(load).finish();
}

std::map<int, unsigned> clients_of_slots(const LoadReport& report) {
  std::map<int, unsigned> clients;
  for (const auto& [source, slots] : report.slots) ++clients[*slots.begin()];
  return clients;
}

void expect_even_shares(const LoadReport& report) {
  const std::map<int, unsigned> clients = clients_of_slots(report);
  EXPECT_EQ(clients.size(), kWorkers) << "some slot has no client at all";
  for (const auto& [slot, count] : clients) {
    // 250 expected, standard deviation 14: this fails by chance about once in 10^8 keys.
    EXPECT_NEAR(count, kSources / kWorkers, 80) << "slot " << slot;
  }
}

void expect_route_to_agree(const Supervisor& supervisor, const LoadReport& report) {
  constexpr std::size_t kAsked = 12;
  auto entry = report.slots.begin();
  for (std::size_t i = 0; i < kAsked; ++i, std::advance(entry, report.slots.size() / kAsked - 1)) {
    EXPECT_EQ(supervisor.route(entry->first), *entry->second.begin()) << entry->first;
  }
}

void expect_sticky(const Supervisor& supervisor, const Endpoint& target, const std::vector<std::string>& sources) {
  const LoadReport report = three_rounds(target, sources);
  EXPECT_EQ(report.failed(), 0u) << report.summary();
  ASSERT_EQ(report.slots.size(), sources.size());
  EXPECT_TRUE(report.moved().empty()) << report.moved().size() << " clients moved, the first is " << report.moved()[0];
  expect_even_shares(report);
  expect_route_to_agree(supervisor, report);
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(status.accepted, report.connections());
  EXPECT_EQ(status.handed, report.connections());
}

TEST(Sticky, AThousandIpv4ClientsAlwaysMeetTheirSlot) {
  const Supervisor supervisor(four_workers("127.0.0.1:0"));
  supervisor.wait_until_serving();
  expect_sticky(supervisor, supervisor.target(), ipv4_sources(kSources));
}

TEST(Sticky, AThousandIpv6ClientsAlwaysMeetTheirSlot) {
  const NetworkNamespace network;
  if (!network.missing().empty())
    GTEST_SKIP() << "no network of our own for many IPv6 addresses: " << network.missing();
  const Supervisor supervisor(four_workers("[::]:0"));
  supervisor.wait_until_serving();
  const std::string address = supervisor.address();
  expect_sticky(supervisor, endpoint("[fd00::1]" + address.substr(address.rfind(':'))), ipv6_sources(kSources));
}

TEST(Sticky, AClientMeetsTheSameSlotOnADualStackListenerAndOnAnIpv4One) {
  SupervisorPlan plan = four_workers("127.0.0.1:0");
  plan.listen.emplace_back(":0");
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  const LoadReport ipv4 = three_rounds(supervisor.target(0), ipv4_sources(60));
  const LoadReport dual = three_rounds(supervisor.target(1), ipv4_sources(60));
  EXPECT_EQ(ipv4.failed() + dual.failed(), 0u) << ipv4.summary() << dual.summary();
  EXPECT_EQ(ipv4.slots, dual.slots);
}

TEST(Sticky, TheSameHashKeyGivesTheSameMappingToAnotherSupervisor) {
  SupervisorPlan plan = four_workers("127.0.0.1:0");
  plan.options = {"--hash-key", "00112233445566ff"};
  const Supervisor one(plan);
  const Supervisor other(plan);
  plan.options = {"--hash-key", "10112233445566ff"};
  const Supervisor stranger(plan);
  one.wait_until_serving();
  other.wait_until_serving();
  stranger.wait_until_serving();
  const LoadReport at_one = three_rounds(one.target(), ipv4_sources(100));
  const LoadReport at_other = three_rounds(other.target(), ipv4_sources(100));
  const LoadReport at_stranger = three_rounds(stranger.target(), ipv4_sources(100));
  EXPECT_EQ(at_one.slots, at_other.slots);
  EXPECT_NE(at_one.slots, at_stranger.slots);
}

TEST(Sticky, ClientsOfOnePrefixShareASlot) {
  SupervisorPlan plan = four_workers("127.0.0.1:0");
  plan.options = {"--prefix-v4", "24"};
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  std::vector<std::string> neighbours;
  for (int host = 1; host <= 50; ++host) neighbours.push_back("127.7.7." + std::to_string(host));
  const LoadReport report = three_rounds(supervisor.target(), neighbours);
  EXPECT_EQ(report.failed(), 0u) << report.summary();
  EXPECT_EQ(clients_of_slots(report).size(), 1u);
}

}  // namespace
}  // namespace holdfast::test
