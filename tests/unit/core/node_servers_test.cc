#include "core/node_servers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;

NodeServers::Offered listener(const char* text) { return {*parse_listen_address(text)}; }
NodeServers::Offered leaving(const char* text, const char* name = "") {
  return {*parse_listen_address(text), name, NodeServers::Offered::Fate::Leaves};
}
NodeServer on_port(std::uint16_t port, std::uint32_t index = 0) { return {NodeServer::Kind::Tcp4, "", port, index}; }
NodeServer on_path(const char* path) { return {NodeServer::Kind::Unix, path, 0, 0}; }

std::uint32_t granted(NodeServers& servers, const NodeServer& server) {
  const NodeServers::Answer answer = servers.answer(server, "null");
  const auto* yes = std::get_if<NodeServers::Granted>(&answer);
  return yes != nullptr ? yes->listener.value : 999;
}
NodeServers::Refused refused(NodeServers& servers, const NodeServer& server) {
  const NodeServers::Answer answer = servers.answer(server, "null");
  const auto* no = std::get_if<NodeServers::Refused>(&answer);
  return no != nullptr ? *no : NodeServers::Refused{};
}

TEST(NodeServers, AProgramIsToldThePortThatItAskedFor) {
  NodeServers servers({listener("127.0.0.1:80")});
  const auto answer = std::get<NodeServers::Granted>(servers.answer(on_port(3000), "null"));
  EXPECT_EQ(answer.listener, ListenerId{0});
  EXPECT_EQ(to_text(ListenAddress(*answer.bound)), "127.0.0.1:3000");
}

TEST(NodeServers, OneThatTakesAnyPortIsToldTheRealOne) {
  NodeServers servers({listener(":8080")});
  const auto answer = std::get<NodeServers::Granted>(servers.answer(on_port(0), "null"));
  EXPECT_EQ(answer.bound->port, 8080);
}

TEST(NodeServers, TheSamePortOrPathIsMeant) {
  NodeServers servers({listener(":80"), listener("unix:/run/a.sock"), listener(":9100"), listener("unix:/run/b.sock")});
  EXPECT_EQ(granted(servers, on_port(9100)), 2u);
  EXPECT_EQ(granted(servers, on_path("/run/b.sock")), 3u);
  EXPECT_EQ(granted(servers, on_port(80)), 0u);
  EXPECT_EQ(granted(servers, on_path("/run/a.sock")), 1u);
}

TEST(NodeServers, OfTwoOfTheSamePortTheAddressDecides) {
  NodeServers servers({listener("127.0.0.1:80"), listener("127.0.0.2:80")});
  EXPECT_EQ(granted(servers, {NodeServer::Kind::Tcp4, "127.0.0.2", 80, 0}), 1u);
  EXPECT_EQ(granted(servers, {NodeServer::Kind::Tcp4, "127.0.0.1", 80, 0}), 0u);
}

TEST(NodeServers, AllWorkersOfOneProgramGetTheSame) {
  NodeServers servers({listener(":80"), listener(":81")});
  EXPECT_EQ(granted(servers, on_port(3000)), 0u);
  EXPECT_EQ(granted(servers, on_port(4000)), 1u);
  EXPECT_EQ(granted(servers, on_port(4000)), 1u) << "though another worker asks in another order";
  EXPECT_EQ(granted(servers, on_port(3000)), 0u);
  EXPECT_EQ(granted(servers, on_port(3000, 1)), 0u) << "opened again it is still the same server";
}

TEST(NodeServers, ThoseOnAnyPortAreToldApartByTheirOrder) {
  NodeServers servers({listener(":80"), listener(":81")});
  EXPECT_EQ(granted(servers, on_port(0, 0)), 0u);
  EXPECT_EQ(granted(servers, on_port(0, 1)), 1u);
  EXPECT_EQ(granted(servers, on_port(0, 0)), 0u);
}

TEST(NodeServers, OneThatNoListenerIsLeftForIsRefused) {
  NodeServers servers({listener(":80")});
  EXPECT_EQ(granted(servers, on_port(3000)), 0u);
  const NodeServers::Refused no = refused(servers, on_port(9100));
  EXPECT_EQ(no.error, EADDRNOTAVAIL);
  EXPECT_THAT(no.why, HasSubstr("server.listen(9100)"));
  EXPECT_THAT(no.why, HasSubstr(":80"));
  servers.forget_servers();
  EXPECT_EQ(granted(servers, on_port(9100)), 0u) << "workers of another generation";
}

TEST(NodeServers, WhatLeavesIsGivenToNobodyAndWhoHasItKeepsIt) {
  NodeServers servers({listener(":3000")});
  EXPECT_EQ(granted(servers, on_port(3000)), 0u);
  servers.set_listeners({leaving(":3000"), listener(":3001")});
  EXPECT_EQ(granted(servers, on_port(3000)), 0u) << "a worker of the same program";
  servers.forget_servers();
  EXPECT_EQ(granted(servers, on_port(3000)), 1u) << "though the port of the other is the one that is meant";
  EXPECT_EQ(granted(servers, on_port(9100)), 999u);
  EXPECT_THAT(refused(servers, on_port(9100)).why, Not(HasSubstr(":3000,")));
}

TEST(NodeServers, WhatMovesIsNotExchangedForAnotherListener) {
  const auto named = [](const char* address, const char* name) {
    NodeServers::Offered offered = listener(address);
    offered.name = name;
    return offered;
  };
  NodeServers::Offered old = leaving("127.0.0.2:80");
  old.name = "a";
  for (const bool in_order : {true, false}) {
    NodeServers servers({named("127.0.0.2:80", "a"), named("127.0.0.3:80", "b")});
    EXPECT_EQ(granted(servers, on_port(3000)), 0u);
    EXPECT_EQ(granted(servers, on_port(4000)), 1u);
    servers.forget_servers();
    servers.set_listeners({old, named("127.0.0.3:80", "b"), named("127.0.0.4:80", "a")});
    if (!in_order) {
      EXPECT_EQ(granted(servers, on_port(4000)), 1u);
    }
    EXPECT_EQ(granted(servers, on_port(3000)), 2u);
    EXPECT_EQ(granted(servers, on_port(4000)), 1u);
  }
}

TEST(NodeServers, ThePortThatIsMeantCountsForMoreThanTheNameOfBefore) {
  NodeServers servers({{listener(":80").address, "a"}});
  EXPECT_EQ(granted(servers, on_port(3000)), 0u);
  servers.forget_servers();
  servers.set_listeners({{listener(":80").address, "a"}, {listener(":3000").address, "b"}});
  EXPECT_EQ(granted(servers, on_port(3000)), 1u);
}

TEST(NodeServers, UdpAndDescriptorsAreRefusedWithTheReason) {
  NodeServers servers({listener(":80")});
  EXPECT_EQ(refused(servers, {NodeServer::Kind::Udp, "", 53, 0}).error, ENOTSUP);
  EXPECT_THAT(refused(servers, {NodeServer::Kind::Udp, "", 53, 0}).why, HasSubstr("UDP"));
  EXPECT_EQ(refused(servers, {NodeServer::Kind::Descriptor, "", 0, 0}).error, EBADF);
}

TEST(NodeServers, TheDataOfTheFirstWorkerAreThoseOfAll) {
  NodeServers servers({listener(":443"), listener(":444")});
  const auto data = [&](const NodeServer& server, const char* own) {
    return std::get<NodeServers::Granted>(servers.answer(server, own)).data;
  };
  EXPECT_EQ(data(on_port(443), "\"first\""), "\"first\"");
  EXPECT_EQ(data(on_port(443), "\"second\""), "\"first\"");
  EXPECT_EQ(data(on_port(444), "\"other\""), "\"other\"");
  servers.forget_servers();
  EXPECT_EQ(data(on_port(443), "\"of the next generation\""), "\"first\"") << "clients hold tickets made with them";
}

TEST(NodeServers, WhatTheFirstHadNotTheNextMayFillIn) {
  for (const char* const none : {"null", "0"}) {  // in either serialization
    NodeServers servers({listener(":443")});
    const auto data = [&](const char* own) {
      return std::get<NodeServers::Granted>(servers.answer(on_port(443), own)).data;
    };
    EXPECT_EQ(data(none), none) << "a program without TLS";
    EXPECT_EQ(data("\"keys\""), "\"keys\"") << "one with it would throw at none";
    EXPECT_EQ(data("\"others\""), "\"keys\"");
    EXPECT_EQ(data(none), "\"keys\"");
    servers.forget_data();
    EXPECT_EQ(data("\"others\""), "\"others\"");
  }
}

class StandIn : public testing::Test {
 protected:
  [[nodiscard]] std::uint32_t of(std::uint32_t asked, const std::vector<ListenerId>& own) const {
    return servers.stand_in(ListenerId{asked}, own, NodeServers::Stands::AlsoTheOnlyOne)
        .value_or(ListenerId{999})
        .value;
  }
  [[nodiscard]] std::uint32_t early(std::uint32_t asked, const std::vector<ListenerId>& own) const {
    return servers.stand_in(ListenerId{asked}, own, NodeServers::Stands::OfTheSameName).value_or(ListenerId{999}).value;
  }
  NodeServers servers{{listener(":80"), listener(":81"), listener("unix:/run/a.sock"), listener(":82")}};
};

TEST_F(StandIn, TheOnlyServerOfItsKindTakesWhatNobodyElseHas) {
  EXPECT_EQ(granted(servers, on_port(3000)), 0u);
  EXPECT_EQ(of(1, {ListenerId{0}}), 0u);
  EXPECT_EQ(of(3, {ListenerId{0}}), 0u);
  EXPECT_EQ(of(2, {ListenerId{0}}), 999u) << "a path is of another kind";
  EXPECT_EQ(of(2, {ListenerId{0}, ListenerId{2}}), 999u) << "it has its server";
  EXPECT_EQ(early(1, {ListenerId{0}}), 999u) << "it may yet listen";
  EXPECT_EQ(of(77, {ListenerId{0}}), 999u);
}

TEST_F(StandIn, WhichOfSeveralIsMeantNobodyKnows) {
  EXPECT_EQ(granted(servers, on_port(3000)), 0u);
  EXPECT_EQ(granted(servers, on_port(4000)), 1u);
  EXPECT_EQ(of(3, {ListenerId{0}, ListenerId{1}}), 999u);
  EXPECT_EQ(of(1, {ListenerId{0}}), 999u) << "another worker has that server: this one has closed it, or will open it";
}

TEST_F(StandIn, OneThatLeavesHasItsHeirInTheOneThatComesInItsPlace) {
  using Fate = NodeServers::Offered::Fate;
  const auto at = [](const char* text, const char* name, Fate fate) {
    return NodeServers::Offered{*parse_listen_address(text), name, fate};
  };
  servers.set_listeners(
      {at(":80", "web", Fate::Leaves), at(":90", "admin", Fate::Stays), at(":81", "web", Fate::Stays)});
  EXPECT_EQ(granted(servers, on_port(3000)), 1u);
  EXPECT_EQ(granted(servers, on_port(81)), 2u);
  EXPECT_EQ(early(0, {ListenerId{1}, ListenerId{2}}), 2u);
}

TEST(NodeServers, TheKindCountsForMoreThanTheOrder) {
  NodeServers servers({listener("unix:/run/a.sock"), listener(":80")});
  EXPECT_EQ(granted(servers, on_port(3000)), 1u);
  EXPECT_EQ(granted(servers, on_port(4000)), 0u) << "rather than none";
}

TEST(NodeServers, ATcpServerBehindAPathHasNoAddressToBeTold) {
  NodeServers servers({listener("unix:/run/a.sock")});
  EXPECT_FALSE(std::get<NodeServers::Granted>(servers.answer(on_port(3000), "null")).bound);
  NodeServers tcp({listener(":80")});
  EXPECT_FALSE(std::get<NodeServers::Granted>(tcp.answer(on_path("/run/a.sock"), "null")).bound)
      << "a server on a path has no port";
}

}  // namespace
}  // namespace holdfast
