// The front door before Node.js workers, which know nothing of it.
#include <gmock/gmock.h>

#include <cstdlib>
#include <deque>
#include <set>

#include "system/front_door/proxied.h"

namespace holdfast::test {
namespace {

class FrontDoorNode : public testing::Test {
 protected:
  void SetUp() override {
    if (std::system("node --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "there is no node here";
  }
  static SupervisorPlan plan(std::vector<std::string> options, const std::string& listen = "127.0.0.1:0") {
    SupervisorPlan plan;
    plan.listen = {listen};
    plan.workers = 3;
    plan.options = std::move(options);
    plan.command = {"node", source_file("tests/interop/node/workers/tagged.js")};
    return plan;
  }
};

TEST_F(FrontDoorNode, ASessionIdWithASlotBringsItsClientBackFromEverywhere) {
  const Supervisor supervisor(plan({"--key", "tagged(query(sid)), remote-address"}));
  supervisor.wait_until_serving();
  std::set<int> slots;
  for (int i = 1; i <= 30; ++i) {
    HttpClient first(supervisor.target(), "127.0.5." + std::to_string(i));
    first.send_raw(request("/"));
    const auto answer = told(first);
    ASSERT_TRUE(answer) << supervisor.errors();
    const int slot = (*answer)["slot"];
    slots.insert(slot);
    const std::string again = request("/?sid=" + (*answer)["sid"].get<std::string>());
    EXPECT_EQ(slot_of(supervisor, again, "127.0.6." + std::to_string(i)), slot);
  }
  EXPECT_EQ(slots.size(), 3u);
}

TEST_F(FrontDoorNode, BehindAProxyItIsTheClientWhoIsPlacedAndTheWorkerFindsNoHeader) {
  const Supervisor supervisor(plan({}, "127.0.0.1:0,proxy-protocol=required"));
  supervisor.wait_until_serving();
  std::set<int> slots;
  for (int i = 1; i <= 20; ++i) {
    const std::string address = "203.0.113." + std::to_string(i);
    const int slot = slot_of(supervisor, header_v1("TCP4 " + address + " 192.0.2.1 4000 443") + request("/"));
    EXPECT_EQ(slot, supervisor.route(address)) << address;
    slots.insert(slot);
  }
  EXPECT_EQ(slots.size(), 3u);
}

// No worker of Node.js tells when it closes a connection.
TEST_F(FrontDoorNode, HowManyASourceHasOpenIsKnownAllTheSame) {
  const Supervisor supervisor(plan({}, "127.0.0.1:0,source-connections=2"));
  supervisor.wait_until_serving();
  for (int i = 0; i < 10; ++i) EXPECT_GE(slot_of(supervisor, request("/")), 0) << "the one before is closed";
  // Silent ones stay open.
  std::vector<HttpClient> open;
  for (int i = 0; i < 2; ++i) open.emplace_back(supervisor.target(), "127.0.7.1");
  supervisor.wait_until("both are counted", [](const StatusView& status) { return status.handed == 12; });
  HttpClient third(supervisor.target(), "127.0.7.1");
  EXPECT_TRUE(third.closed_by_peer());
  EXPECT_EQ(supervisor.wait_until_settled().refused.at("source-connections"), 1u);
}

// Silent ones stay open.
class FrontDoorNodeLimits : public FrontDoorNode {
 protected:
  static HttpClient& come(const Supervisor& supervisor, std::deque<HttpClient>& open) {
    const std::uint64_t before = supervisor.status().accepted;  // of those before not all need be known as handed
    open.emplace_back(supervisor.target(), "127.0.7." + std::to_string(open.size() + 1));
    supervisor.wait_until("it is taken up", [&](const StatusView& status) {
      return status.accepted == before + 1 && status.handed == status.accepted;
    });
    return open.back();
  }
};

TEST_F(FrontDoorNodeLimits, WhoComesBeyondAllOfThemWaitsUntilOneIsClosed) {
  const Supervisor supervisor(plan({"--max-connections", "2", "--wait-timeout", "1h"}));
  supervisor.wait_until_serving();
  for (int i = 0; i < 10; ++i) EXPECT_GE(slot_of(supervisor, request("/")), 0) << "the one before is closed";
  std::deque<HttpClient> open;
  for (int i = 0; i < 2; ++i) come(supervisor, open);
  HttpClient waits(supervisor.target());
  waits.send_raw(request("/"));
  supervisor.wait_until("it waits", [](const StatusView& status) { return status.waiting == 1; });
  open.pop_front();
  EXPECT_TRUE(told(waits)) << name_of(waits.ending());
}

TEST_F(FrontDoorNodeLimits, LeastConnectionsFillsTheEmptiest) {
  const Supervisor supervisor(plan({"--placement", "least-connections"}));
  supervisor.wait_until_serving();
  std::deque<HttpClient> open;
  for (int i = 0; i < 9; ++i) come(supervisor, open);
  const StatusView status = supervisor.wait_until_settled();
  for (int slot = 0; slot < 3; ++slot) EXPECT_EQ(status.slot(slot).handed, 3u) << "slot " << slot;
}

}  // namespace
}  // namespace holdfast::test
