#include "core/managed_address.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace holdfast {
namespace {

constexpr std::optional<std::size_t> kNone = std::nullopt;

ManagedAddress managed(std::string_view text, Transport transport = Transport::Stream) {
  const Result<ListenAddress> address = parse_listen_address(text);
  EXPECT_TRUE(address) << text;
  return {transport, std::get<TcpAddress>(*address)};
}

// "0.0.0.0", "127.0.0.1": an AF_INET socket. In brackets an AF_INET6 one, which may bind a mapped address.
BindRequest asked(std::string_view host, std::uint16_t port = 8080) {
  BindRequest request;
  request.port = port;
  if (host.front() == '[') {
    request.domain = SocketDomain::Inet6;
    host = host.substr(1, host.size() - 2);
  }
  request.address = IpAddress::parse(host).value();
  return request;
}

std::optional<std::size_t> meant(const std::vector<std::string>& listeners, const BindRequest& request) {
  std::vector<ManagedAddress> addresses;
  for (const std::string& listener : listeners) addresses.push_back(managed(listener));
  return managed_listener(addresses, request);
}

TEST(ManagedAddress, IsMeantWhereTheSetsOfAddressesMeet) {
  struct Case {
    const char* listener;
    const char* host;
    bool is_meant;
  };
  const std::vector<Case> cases{
      {":8080", "0.0.0.0", true},
      {":8080", "127.0.0.1", true},
      {":8080", "[::]", true},
      {":8080", "[::1]", true},
      {":8080", "[::ffff:127.0.0.1]", true},
      {"0.0.0.0:8080", "0.0.0.0", true},
      {"0.0.0.0:8080", "10.0.0.1", true},
      {"0.0.0.0:8080", "[::]", true},
      {"0.0.0.0:8080", "[::1]", false},
      {"0.0.0.0:8080", "[::ffff:10.0.0.1]", true},
      {"0.0.0.0:8080", "[::ffff:0.0.0.0]", true},
      {"127.0.0.1:8080", "0.0.0.0", true},
      {"127.0.0.1:8080", "127.0.0.1", true},
      {"127.0.0.1:8080", "127.0.0.2", false},
      {"127.0.0.1:8080", "[::]", true},
      {"127.0.0.1:8080", "[::1]", false},
      {"127.0.0.1:8080", "[::ffff:127.0.0.1]", true},
      {"127.0.0.1:8080", "[::ffff:127.0.0.2]", false},
      {"[::]:8080", "[::]", true},
      {"[::]:8080", "[fd00::1]", true},
      {"[::]:8080", "0.0.0.0", false},
      {"[::]:8080", "127.0.0.1", false},
      {"[::]:8080", "[::ffff:127.0.0.1]", false},
      {"[::1]:8080", "[::1]", true},
      {"[::1]:8080", "[::]", true},
      {"[::1]:8080", "[::2]", false},
      {"[::1]:8080", "0.0.0.0", false},
      {"[::1]:8080", "127.0.0.1", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(meant({c.listener}, asked(c.host)).has_value(), c.is_meant) << c.listener << " and " << c.host;
  }
}

TEST(ManagedAddress, AV6OnlySocketHasNothingToDoWithIpv4) {
  struct Case {
    const char* listener;
    const char* host;
    bool is_meant;
  };
  const std::vector<Case> cases{
      {":8080", "[::]", true},
      {"[::]:8080", "[::]", true},
      {"[::1]:8080", "[::]", true},
      {"0.0.0.0:8080", "[::]", false},
      {"127.0.0.1:8080", "[::]", false},
      {":8080", "[::ffff:127.0.0.1]", false},
      {":8080", "[::ffff:0.0.0.0]", false},
  };
  for (const Case& c : cases) {
    BindRequest request = asked(c.host);
    request.v6_only = true;
    EXPECT_EQ(meant({c.listener}, request).has_value(), c.is_meant) << c.listener << " and " << c.host;
  }
}

TEST(ManagedAddress, TakesTheNarrowestListenerThatHoldsWhatWasAskedFor) {
  const std::vector<std::string> listeners{":8080", "0.0.0.0:8080", "127.0.0.1:8080", "[::1]:8080"};
  EXPECT_EQ(meant(listeners, asked("127.0.0.1")), 2U);
  EXPECT_EQ(meant(listeners, asked("[::ffff:127.0.0.1]")), 2U);
  EXPECT_EQ(meant(listeners, asked("10.0.0.1")), 1U);
  EXPECT_EQ(meant(listeners, asked("0.0.0.0")), 1U);
  EXPECT_EQ(meant(listeners, asked("[::1]")), 3U);
  EXPECT_EQ(meant(listeners, asked("[::2]")), 0U);
  EXPECT_EQ(meant(listeners, asked("[::]")), 0U);
}

TEST(ManagedAddress, TakesTheWidestWhereNoneHoldsItAll) {
  EXPECT_EQ(meant({"127.0.0.1:8080", "0.0.0.0:8080", "[::1]:8080"}, asked("[::]")), 1U);
  EXPECT_EQ(meant({"127.0.0.1:8080", "10.0.0.1:8080"}, asked("0.0.0.0")), 0U);
  EXPECT_EQ(meant({"10.0.0.1:8080", "127.0.0.1:8080"}, asked("0.0.0.0")), 0U);
}

TEST(ManagedAddress, TakesTheFirstOfEquals) {
  EXPECT_EQ(meant({"[::1]:8080", ":8080", ":8080"}, asked("0.0.0.0")), 1U);
}

TEST(ManagedAddress, IsNotMeantByAnotherPortOrTransport) {
  EXPECT_EQ(meant({":8080"}, asked("0.0.0.0", 8081)), kNone);
  EXPECT_EQ(meant({}, asked("0.0.0.0")), kNone);
  BindRequest datagram = asked("0.0.0.0");
  datagram.transport = Transport::Datagram;
  EXPECT_EQ(meant({":8080"}, datagram), kNone);
  const std::vector<ManagedAddress> both{managed(":8080"), managed(":8080", Transport::Datagram)};
  EXPECT_EQ(managed_listener(both, datagram), 1U);
}

TEST(ManagedAddress, PortZeroIsNeverMeant) {
  EXPECT_EQ(meant({":0"}, asked("0.0.0.0", 0)), kNone);
  EXPECT_EQ(meant({":8080"}, asked("[::]", 0)), kNone);
}

}  // namespace
}  // namespace holdfast
