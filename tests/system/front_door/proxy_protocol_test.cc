// Listeners behind a proxy: the client is whom the PROXY header names, and what is no header is refused.
#include <gmock/gmock.h>
#include <sys/socket.h>

#include "support/eventually.h"
#include "system/front_door/proxied.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;

const std::string kRequest = request_for("/", "close");
const std::string kV1 = header_v1("TCP4 203.0.113.7 192.0.2.1 4000 443");

SupervisorPlan required(std::vector<std::string> options = {}) {
  return passed("127.0.0.1:0,proxy-protocol=required", std::move(options));
}

TEST(ProxyProtocol, TheClientOfAHeaderOfVersion1IsTheOneThatIsPlacedAndTold) {
  const Supervisor supervisor(required());
  supervisor.wait_until_serving();
  HttpClient client(supervisor.target());
  client.send_raw(kV1 + kRequest);
  const auto answer = told(client);
  ASSERT_TRUE(answer) << name_of(client.ending());
  EXPECT_EQ((*answer)["remote"], "203.0.113.7:4000");
  EXPECT_EQ((*answer)["local"], "192.0.2.1:443");
  EXPECT_EQ((*answer)["proxied"], true);
  EXPECT_EQ((*answer)["slot"], supervisor.route("203.0.113.7"));
}

TEST(ProxyProtocol, ClientsBehindOneProxyAreSpreadAndEachMeetsItsSlotAgain) {
  SupervisorPlan plan = required();
  plan.workers = 4;
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  std::set<int> slots;
  for (int round = 0; round < 2; ++round) {
    for (int i = 1; i <= 40; ++i) {
      const std::string address = "2001:db8:0:" + std::to_string(i) + "::1";
      HttpClient client(supervisor.target());
      client.send_raw(header_v1("TCP6 " + address + " 2001:db8::2 4000 443") + kRequest);
      const auto answer = told(client);
      ASSERT_TRUE(answer) << name_of(client.ending());
      EXPECT_EQ((*answer)["slot"], supervisor.route(address)) << address;
      slots.insert((*answer)["slot"].get<int>());
    }
  }
  EXPECT_EQ(slots.size(), 4u);
}

TEST(ProxyProtocol, TheWorkerIsToldWhatVersion2CarriesBesideTheAddresses) {
  const Supervisor supervisor(required());
  supervisor.wait_until_serving();
  HttpClient client(supervisor.target());
  client.send_raw(header_v2('\x21', '\x11',
                            tcp4_addresses() + tlv(0x02, "shop.example") + tlv(0x05, "id-17") + tlv(0x01, "h2") +
                                tlv(0xEA, "\x01vpce-08d2bf15fac5001c9")) +
                  kRequest);
  const auto answer = told(client);
  ASSERT_TRUE(answer) << name_of(client.ending());
  EXPECT_EQ((*answer)["remote"], "203.0.113.7:4000");
  EXPECT_EQ((*answer)["authority"], "shop.example");
  EXPECT_EQ((*answer)["unique_id"], "id-17");
  EXPECT_EQ((*answer)["alpn"], "h2");
  EXPECT_EQ((*answer)["aws_endpoint"], "vpce-08d2bf15fac5001c9");
}

TEST(ProxyProtocol, TheEndpointsOfOtherCloudsAreNumbers) {
  const Supervisor supervisor(required());
  supervisor.wait_until_serving();
  const std::string azure("\x01\x0a\x0b\x0c\x0d", 5);               // little-endian
  const std::string google("\x01\x02\x03\x04\x05\x06\x07\x08", 8);  // big-endian
  HttpClient client(supervisor.target());
  client.send_raw(header_v2('\x21', '\x11', tcp4_addresses() + tlv(0xEE, azure) + tlv(0xE0, google)) + kRequest);
  const auto answer = told(client);
  ASSERT_TRUE(answer) << name_of(client.ending());
  EXPECT_EQ((*answer)["azure_link"], 0x0d0c0b0aU);
  EXPECT_EQ((*answer)["google_connection"], 0x0102030405060708U);
}

TEST(ProxyProtocol, WhatIsOfTheProxyItselfKeepsItsOwnAddress) {
  const Supervisor supervisor(required());
  supervisor.wait_until_serving();
  const std::string local = header_v2('\x20', '\x11', tcp4_addresses());
  const std::string unspecified = header_v2('\x21', '\x00', "");
  for (const std::string& header : {local, unspecified, header_v1("UNKNOWN"), header_v1("UNKNOWN what ever")}) {
    HttpClient client(supervisor.target(), "127.0.0.9");
    client.send_raw(header + kRequest);
    const auto answer = told(client);
    ASSERT_TRUE(answer) << testing::PrintToString(header);
    EXPECT_THAT((*answer)["remote"].get<std::string>(), testing::StartsWith("127.0.0.9:"));
    EXPECT_FALSE(answer->contains("proxied"));
  }
}

// Nothing of the client's is taken with the header, wherever the bytes are cut.
TEST(ProxyProtocol, AHeaderMayComeInAnyTwoParts) {
  const Supervisor supervisor(required());
  supervisor.wait_until_serving();
  for (const std::string& header : {kV1, header_v2('\x21', '\x11', tcp4_addresses() + tlv(0x05, "x"))}) {
    for (std::size_t cut = 1; cut <= header.size() + 1; ++cut) {
      const std::string all = header + kRequest;
      HttpClient client(supervisor.target());
      client.send_raw(all.substr(0, cut));
      if (cut < header.size()) {
        supervisor.wait_until("the first part waits", [](const StatusView& status) { return status.waiting == 1; });
      }
      client.send_raw(all.substr(cut));
      const auto answer = told(client);
      ASSERT_TRUE(answer) << cut << " of " << header.size() << ": " << name_of(client.ending());
      EXPECT_EQ((*answer)["remote"], "203.0.113.7:4000");
    }
  }
  EXPECT_EQ(supervisor.wait_until_settled().refused_in_all(), 0u);
}

TEST(ProxyProtocol, WhatIsNoWholeValidHeaderIsRefusedByItsReason) {
  const Supervisor supervisor(required());
  supervisor.wait_until_serving();
  std::string checksummed = header_v2('\x21', '\x11', tcp4_addresses() + tlv(0x03, "abcd"));
  std::string old_version = header_v2('\x11', '\x11', tcp4_addresses());
  const std::vector<std::pair<std::string, std::string>> cases = {
      {kRequest, "proxy-no-header"},
      {"PROXY TCP4 " + std::string(120, '1'), "proxy-line-too-long"},
      {header_v1("TCP4 203.0.113.7 192.0.2.1 4000"), "proxy-bad-line"},
      {header_v1("TCP4 203.0.113.7  192.0.2.1 4000 443"), "proxy-bad-line"},
      {header_v1("TCP4 203.0.113.7 192.0.2.1 04000 443"), "proxy-bad-line"},
      {header_v1("TCP4 2001:db8::1 192.0.2.1 4000 443"), "proxy-bad-line"},
      {"PROXY TCP4 203.0.113.7 192.0.2.1 4000 443\n" + kRequest, "proxy-bad-line"},
      {old_version, "proxy-unknown-version"},
      {header_v2('\x22', '\x11', tcp4_addresses()), "proxy-unknown-command"},
      {header_v2('\x21', '\x41', tcp4_addresses()), "proxy-unknown-family"},
      {header_v2('\x21', '\x13', tcp4_addresses()), "proxy-unknown-transport"},
      {header_v2('\x21', '\x11', "1234"), "proxy-addresses-too-short"},
      {header_v2('\x21', '\x11', tcp4_addresses() + std::string("\x02\x00\x09shop", 7)), "proxy-bad-tlv"},
      {checksummed, "proxy-bad-checksum"},
      {std::string("\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", 16), "proxy-too-long"},
  };
  std::map<std::string, std::uint64_t> expected;
  for (const auto& [bytes, reason] : cases) {
    HttpClient client(supervisor.target());
    client.send_raw(bytes);
    EXPECT_TRUE(client.closed_by_peer()) << reason << ": " << testing::PrintToString(bytes);
    ++expected[reason];
  }
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(status.refused, expected);
  EXPECT_EQ(status.handed, 0u) << "a worker got bytes that are no client's";
  EXPECT_THAT(supervisor.errors(), HasSubstr("a connection from 127.0.0.1:"));
}

TEST(ProxyProtocol, AHeaderThatDoesNotComeInTimeIsRefused) {
  const Supervisor supervisor(passed("127.0.0.1:0,proxy-protocol=required,preface-timeout=300ms"));
  supervisor.wait_until_serving();
  const auto begin = Clock::now();
  HttpClient silent(supervisor.target());
  HttpClient slow(supervisor.target());
  slow.send_raw(kV1.substr(0, 10));
  EXPECT_TRUE(silent.closed_by_peer());
  EXPECT_TRUE(slow.closed_by_peer());
  EXPECT_GE(Clock::now() - begin, std::chrono::milliseconds(300));
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(status.refused.at("preface-timeout"), 2u);
}

TEST(ProxyProtocol, AClientThatLeavesHalfwayIsCounted) {
  const Supervisor supervisor(required());
  supervisor.wait_until_serving();
  {
    HttpClient nothing(supervisor.target());
    supervisor.wait_until("it waits", [](const StatusView& status) { return status.waiting == 1; });
  }
  supervisor.wait_until("it has left", [](const StatusView& status) { return status.refused.contains("client-left"); });
  {
    HttpClient half(supervisor.target());
    half.send_raw(kV1.substr(0, 10));
    supervisor.wait_until("it waits", [](const StatusView& status) { return status.waiting == 1; });
  }
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(status.refused_in_all(), 2u);
  EXPECT_EQ(status.handed, 0u);
}

TEST(ProxyProtocol, OnlyTheSendersOnTheListMayWriteAHeader) {
  const Supervisor supervisor(
      passed("127.0.0.1:0,proxy-protocol=optional-from(127.0.0.2/32, 10.0.0.0/8),preface-timeout=1h"));
  supervisor.wait_until_serving();
  HttpClient proxy(supervisor.target(), "127.0.0.2");
  proxy.send_raw(kV1 + kRequest);
  const auto proxied = told(proxy);
  ASSERT_TRUE(proxied);
  EXPECT_EQ((*proxied)["remote"], "203.0.113.7:4000");
  HttpClient plain(supervisor.target(), "127.0.0.2");
  plain.send_raw(kRequest);
  const auto direct = told(plain);
  ASSERT_TRUE(direct);
  EXPECT_THAT((*direct)["remote"].get<std::string>(), testing::StartsWith("127.0.0.2:"));
  // Of others it is the client's own bytes, and no request of HTTP.
  HttpClient stranger(supervisor.target(), "127.0.0.3");
  stranger.send_raw(kV1 + kRequest);
  const std::optional<Response> answer = stranger.receive();
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->code, 400);
  // What begins like a header of a trusted sender must be one.
  HttpClient broken(supervisor.target(), "127.0.0.2");
  broken.send_raw(header_v1("TCP4 nobody"));
  EXPECT_TRUE(broken.closed_by_peer());
}

TEST(ProxyProtocol, WhereTooManyWaitTheOldestGoes) {
  const Supervisor supervisor(passed("127.0.0.1:0,proxy-protocol=required,preface-limit=3"));
  supervisor.wait_until_serving();
  std::vector<HttpClient> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.emplace_back(supervisor.target());
    supervisor.wait_until("it waits", [&](const StatusView& status) { return status.waiting == waiting.size(); });
  }
  waiting.emplace_back(supervisor.target());
  EXPECT_TRUE(waiting.front().closed_by_peer());
  for (std::size_t i = 1; i < waiting.size(); ++i) {
    waiting[i].send_raw(kV1 + kRequest);
    EXPECT_TRUE(told(waiting[i])) << i;
  }
  const StatusView status = supervisor.wait_until_settled();
  EXPECT_EQ(status.refused.at("preface-overflow"), 1u);
}

TEST(ProxyProtocol, ThousandsThatSayNothingKeepNobodyElseWaiting) {
  constexpr int kSilent = 2000 / kSlowness;
  SupervisorPlan plan = passed("127.0.0.1:0,proxy-protocol=required,preface-timeout=1h,preface-limit=5000");
  const Supervisor supervisor(plan);
  supervisor.wait_until_serving();
  const std::uint64_t memory = anonymous_memory_of(supervisor.pid());
  std::vector<HttpClient> silent;
  for (int i = 0; i < kSilent; ++i) {
    silent.emplace_back(supervisor.target());
    ASSERT_TRUE(silent.back().connected()) << "at connection " << i;
    if (i % 2 == 0) silent.back().send_raw("PROXY TCP4 203.0");
  }
  supervisor.wait_until("all wait", [](const StatusView& status) { return status.waiting == kSilent; });
  for (int i = 0; i < 50; ++i) {
    HttpClient client(supervisor.target());
    client.send_raw(kV1 + kRequest);
    ASSERT_TRUE(told(client)) << i;
  }
  if (kSlowness == 1) {
    EXPECT_LT((anonymous_memory_of(supervisor.pid()) - memory) / kSilent, 512u);
  }
  EXPECT_TRUE(supervisor.status().balanced());
  supervisor.signal(SIGTERM);
  EXPECT_EQ(supervisor.wait_for_exit(), 0);
  for (HttpClient& each : silent) ASSERT_TRUE(each.closed_by_peer());
}

TEST(ProxyProtocol, OverAUnixPathTheHeaderNamesTheClient) {
  const Supervisor supervisor(passed("unix:{dir}/front.sock,proxy-protocol=required"));
  supervisor.wait_until_serving();
  HttpClient client(supervisor.target());
  client.send_raw(kV1 + kRequest);
  const auto answer = told(client);
  ASSERT_TRUE(answer) << name_of(client.ending());
  EXPECT_EQ((*answer)["remote"], "203.0.113.7:4000");
  EXPECT_EQ((*answer)["slot"], supervisor.route("203.0.113.7"));
  HttpClient local(supervisor.target());
  local.send_raw(header_v1("UNKNOWN") + kRequest);
  EXPECT_TRUE(told(local)) << name_of(local.ending());
}

TEST(ProxyProtocol, CannotBeHadInTheSteerPlane) {
  const Ran ran = run({holdfast_program(), "run", "-l", "127.0.0.1:0,proxy-protocol=required", "--intake", "capture",
                       "--", whoami_program()});
  EXPECT_EQ(ran.exit_code, 2);
  EXPECT_THAT(ran.errors, HasSubstr("proxy-protocol cannot be had"));
  EXPECT_THAT(ran.errors, HasSubstr("steer plane"));
}

}  // namespace
}  // namespace holdfast::test
