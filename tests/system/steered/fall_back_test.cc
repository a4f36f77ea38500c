// A kernel that has no room for the whole program: fewer buckets, then the pass plane where the intake can. The room is
// net.core.optmem_max, which a network namespace has for itself since Linux 6.9.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "support/load_loop.h"
#include "support/network_namespace.h"
#include "support/supervisor.h"
#include "system/steered/ways.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr const char* kRoom = "/proc/sys/net/core/optmem_max";

class KernelWithLittleRoom : public testing::Test {
 protected:
  void SetUp() override {
    if (!network_.missing().empty()) GTEST_SKIP() << "no network of our own: " << network_.missing();
    if (::access(kRoom, W_OK) != 0) GTEST_SKIP() << kRoom << " is not that of a network namespace (before Linux 6.9)";
  }

 private:
  NetworkNamespace network_;
};

SupervisorPlan sixteen_workers(const Way& way) {
  SupervisorPlan plan = plan_of(way);
  plan.workers = 16;
  plan.options.insert(plan.options.end(), {"--hold-timeout", "5m"});
  return plan;
}

std::string plane_of(const Supervisor& supervisor) {
  return nlohmann::json::parse(*supervisor.ask("status"))["pools"][0]["plane"];
}

unsigned count(const std::string& text, std::string_view part) {
  unsigned found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++found;
  return found;
}

void expect_route_to_agree(const Supervisor& supervisor) {
  const LoadReport report = LoadLoop(LoadPlan{supervisor.target(), ipv4_sources(300), 8, 300, "/", kPatience}).finish();
  EXPECT_EQ(report.failed(), 0U) << report.summary();
  for (const auto& [source, slots] : report.slots) {
    const nlohmann::json route = nlohmann::json::parse(*supervisor.ask("route", {{"address", source}}));
    EXPECT_EQ(slots, std::set<int>{route["slot"].get<int>()}) << source;
  }
}

TEST_F(KernelWithLittleRoom, SteersByFewerBucketsAndSaysSoOnce) {
  write_text(kRoom, "5000");
  const Supervisor supervisor(sixteen_workers(captured_plain()));
  supervisor.wait_until_serving();
  EXPECT_EQ(plane_of(supervisor), "steer");
  expect_route_to_agree(supervisor);
  EXPECT_EQ(supervisor.status().accepted, 0U);
  EXPECT_EQ(count(supervisor.errors(), "buckets instead of 512"), 1U) << supervisor.errors();
  EXPECT_THAT(supervisor.errors(), Not(HasSubstr("error:")));
}

TEST_F(KernelWithLittleRoom, PassesWhereNotEvenFewBucketsFit) {
  write_text(kRoom, "1000");
  for (const std::vector<std::string>& options :
       {std::vector<std::string>{}, {"--intake", "sdk", "--plane", "steer"}}) {
    SupervisorPlan plan = sixteen_workers({"sdk", options, {whoami_program()}, "sdk"});
    const Supervisor supervisor(plan);
    supervisor.wait_until_serving();
    EXPECT_EQ(plane_of(supervisor), "pass");
    expect_route_to_agree(supervisor);
    EXPECT_EQ(supervisor.wait_until_settled().accepted, 300U);
    EXPECT_EQ(count(supervisor.errors(), "the kernel does not steer here: connections are passed"), 1U)
        << supervisor.errors();
    EXPECT_THAT(supervisor.errors(), HasSubstr("raise net.core.optmem_max"));
  }
}

TEST_F(KernelWithLittleRoom, IsNoneForWorkersThatCannotBePassedConnections) {
  write_text(kRoom, "1000");
  const Supervisor supervisor(sixteen_workers(captured_plain()));
  EXPECT_EQ(supervisor.wait_for_exit(), 69);
  EXPECT_THAT(supervisor.errors(), HasSubstr("--intake sdk works without, raise net.core.optmem_max"));
}

}  // namespace
}  // namespace holdfast::test
