#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "core/ip_address.h"
#include "core/listen_address.h"
#include "core/socket_kind.h"

namespace holdfast {

// An address that the supervisor listens on.
struct ManagedAddress {
  Transport transport = Transport::Stream;
  TcpAddress address;
};

// What a worker asks bind(2) for.
struct BindRequest {
  Transport transport = Transport::Stream;
  SocketDomain domain = SocketDomain::Inet;
  bool v6_only = false;  // IPV6_V6ONLY of the socket; meaningless for Inet
  IpAddress address;     // for Inet6, an IPv4 address means its mapped form
  std::uint16_t port = 0;
};

// Which of our listeners a worker means that asks for an address; nothing if none, and then its bind is not our affair.
//
// Each address is a set of local addresses that clients may use: IPv4 none, one or all, and IPv6 likewise
// (":80" and a bind of "::" are all of both). The worker means a listener if transport and port are the same and the
// sets have an address in common: exactly where the kernel would answer EADDRINUSE, for the supervisor holds the
// address. So
//   - a wildcard means a specific address of ours, and a specific address a wildcard of ours: the worker is reachable
//     where the listener says, which may be less or more than it asked for;
//   - 127.0.0.1 does not mean 10.0.0.1, and no IPv4 socket means [::1];
//   - an IPv6 socket means an IPv4 listener through a mapped address, or by "::" without IPV6_V6ONLY;
//   - an IPv4-mapped address on an IPV6_V6ONLY socket means nothing: the kernel refuses it;
//   - port 0 means nothing: the kernel chooses a port that is free.
// If several are meant: the narrowest of those that hold all of what was asked for, else the widest of the others, else
// the first in the order of `managed`. One socket cannot stand for two listeners: a worker that binds 0.0.0.0 once does
// not serve 127.0.0.1 and 10.0.0.1, where these are two listeners.
[[nodiscard]] std::optional<std::size_t> managed_listener(std::span<const ManagedAddress> managed,
                                                          const BindRequest& request);

}  // namespace holdfast
