// `holdfast route` and the program in the kernel are two computations of one mapping. They must agree on every address.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "support/load_loop.h"
#include "support/network_namespace.h"
#include "support/supervisor.h"
#include "system/steered/ways.h"

namespace holdfast::test {
namespace {

constexpr unsigned kAddresses = 2000;

SupervisorPlan on_both_families(const Way& way) {
  SupervisorPlan plan = plan_of(way);
  plan.listen = {":0"};
  plan.workers = 5;
  plan.options.insert(plan.options.end(), {"--hold-timeout", "5m"});  // a starved machine is no reason to move anybody
  return plan;
}

int route_over_control_socket(const Supervisor& supervisor, const std::string& source) {
  const std::optional<std::string> answer = supervisor.ask("route", {{"address", source}});
  return answer ? nlohmann::json::parse(*answer)["slot"].get<int>() : -1;
}

void expect_agreement(const Supervisor& supervisor, const Endpoint& target, const std::vector<std::string>& sources) {
  ASSERT_EQ(nlohmann::json::parse(*supervisor.ask("status"))["pools"][0]["plane"], "steer");
  const LoadReport report = LoadLoop(LoadPlan{target, sources, 32, sources.size(), "/", kPatience}).finish();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  ASSERT_EQ(report.slots.size(), sources.size());
  EXPECT_EQ(report.answered_by.size(), 5U) << "some slot has no client at all";
  std::map<std::string, std::string> astray;
  for (const auto& [source, slots] : report.slots) {
    const int route = route_over_control_socket(supervisor, source);
    if (slots == std::set<int>{route}) continue;
    astray[source] = "slot " + std::to_string(*slots.begin()) + ", not " + std::to_string(route);
  }
  EXPECT_TRUE(astray.empty()) << astray.size() << " clients met another slot: " << astray.begin()->first << " met "
                              << astray.begin()->second;
  // The supervisor placed none of them: it was the kernel.
  EXPECT_EQ(supervisor.status().accepted, 0U);
}

class RouteAgreement : public testing::TestWithParam<Way> {};
INSTANTIATE_TEST_SUITE_P(Workers, RouteAgreement,
                         testing::Values(captured_plain({"inet6"}), inherited_plain(), by_sdk()), name_of_way);

TEST_P(RouteAgreement, OverIpv4OnAListenerOfBothFamilies) {
  const Supervisor supervisor(on_both_families(GetParam()));
  supervisor.wait_until_serving();
  expect_agreement(supervisor, supervisor.target(), ipv4_sources(kAddresses));
}

TEST_P(RouteAgreement, OverIpv6OnAListenerOfBothFamilies) {
  const NetworkNamespace network;
  if (!network.missing().empty())
    GTEST_SKIP() << "no network of our own for many IPv6 addresses: " << network.missing();
  const Supervisor supervisor(on_both_families(GetParam()));
  supervisor.wait_until_serving();
  const std::string address = supervisor.address();
  expect_agreement(supervisor, endpoint("[fd00::1]" + address.substr(address.rfind(':'))), ipv6_sources(kAddresses));
}

}  // namespace
}  // namespace holdfast::test
