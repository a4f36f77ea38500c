#include "core/group_address.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

namespace holdfast {
namespace {

using Domain = SocketDomain;
using Transport = Transport;
using V4Clients = GroupAddress::V4Clients;

ListenAddress listener(std::string_view text) {
  const Result<ListenAddress> address = parse_listen_address(text);
  EXPECT_TRUE(address.has_value()) << text;
  return address ? *address : ListenAddress{UnixAddress{"refused"}};
}

// What sockets of the family bind for the listener; "none" where there is no such group.
std::string bound(std::string_view text, Domain domain) {
  const std::optional<GroupAddress> group = group_address(listener(text), domain);
  if (!group) return "none";
  EXPECT_EQ(group->domain, domain);
  return to_text(*group) + (group->v4_clients == V4Clients::Mapped ? " and IPv4" : "");
}

TEST(GroupAddress, EveryAddressIsOneGroupForBothFamiliesOrOneForIpv4) {
  EXPECT_EQ(bound(":80", Domain::Inet6), "[::]:80 and IPv4");
  EXPECT_EQ(bound(":80", Domain::Inet), "0.0.0.0:80");
  EXPECT_EQ(natural_domain(listener(":80")), Domain::Inet6);
}

TEST(GroupAddress, AnIpv4AddressIsMappedForIpv6Sockets) {
  EXPECT_EQ(bound("127.0.0.1:80", Domain::Inet), "127.0.0.1:80");
  EXPECT_EQ(bound("127.0.0.1:80", Domain::Inet6), "[::ffff:127.0.0.1]:80 and IPv4");
  EXPECT_EQ(bound("0.0.0.0:80", Domain::Inet6), "[::ffff:0.0.0.0]:80 and IPv4");
  EXPECT_EQ(natural_domain(listener("127.0.0.1:80")), Domain::Inet);
}

TEST(GroupAddress, AnIpv6AddressHasNoIpv4Group) {
  for (const char* text : {"[::1]:80", "[::]:80"}) {
    EXPECT_EQ(bound(text, Domain::Inet6), text);
    EXPECT_EQ(bound(text, Domain::Inet), "none");
    EXPECT_EQ(natural_domain(listener(text)), Domain::Inet6);
  }
}

TEST(GroupAddress, UdpIsTheSameOfAnotherTransport) {
  EXPECT_EQ(bound("udp://:53", Domain::Inet6), "udp://[::]:53 and IPv4");
  EXPECT_EQ(bound("udp://:53", Domain::Inet), "udp://0.0.0.0:53");
  EXPECT_EQ(bound("udp://127.0.0.1:53", Domain::Inet6), "udp://[::ffff:127.0.0.1]:53 and IPv4");
  EXPECT_EQ(bound("udp://[::1]:53", Domain::Inet), "none");
}

TEST(GroupAddress, APathHasNone) {
  EXPECT_EQ(bound("unix:/run/x", Domain::Inet), "none");
  EXPECT_EQ(bound("unix:/run/x", Domain::Inet6), "none");
}

}  // namespace
}  // namespace holdfast
