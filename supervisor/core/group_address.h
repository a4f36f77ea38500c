#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "core/ip_address.h"
#include "core/listen_address.h"
#include "core/socket_kind.h"

namespace holdfast {

// What the sockets of one steer group bind: an address as one family of sockets sees it. A worker that made an AF_INET
// socket must be given AF_INET sockets, or the addresses of its clients are not what it expects; so a listener has a
// group for each family that its workers use.
struct GroupAddress {
  enum class V4Clients : std::uint8_t { Refused, Mapped };  // what an Inet6 socket does with them (IPV6_V6ONLY)

  Transport transport = Transport::Stream;
  SocketDomain domain = SocketDomain::Inet6;
  V4Clients v4_clients = V4Clients::Refused;
  IpAddress address;  // an IPv4 address in Inet6 is bound in its mapped form
  std::uint16_t port = 0;
  bool operator==(const GroupAddress&) const = default;
};

// The group that sockets of `domain` make for a listener:
//   ":80"           Inet6 takes both families, Inet is 0.0.0.0
//   "192.0.2.1:80"  Inet as it is, Inet6 as ::ffff:192.0.2.1
//   "[::1]:80"      Inet6 only
// Nothing where there can be none: a Unix path, an IPv6 address for Inet.
[[nodiscard]] std::optional<GroupAddress> group_address(const ListenAddress& address, SocketDomain domain);
// The family that serves every client of the listener alone: Inet6 for ":80" and IPv6 addresses, Inet for IPv4 ones.
[[nodiscard]] SocketDomain natural_domain(const ListenAddress& address);

// "192.0.2.1:80", "[::]:80", "udp://[::ffff:192.0.2.1]:80": what is bound, for messages.
[[nodiscard]] std::string to_text(const GroupAddress& address);

}  // namespace holdfast
