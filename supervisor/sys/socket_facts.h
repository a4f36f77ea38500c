#pragma once

#include <cstdint>
#include <optional>

#include "core/managed_address.h"
#include "core/result.h"
#include "sys/unique_fd.h"

namespace holdfast {

// What a socket is, whoever made it.
struct SocketFacts {
  std::uint64_t cookie = 0;              // names the socket among all that ever were (SO_COOKIE)
  std::optional<std::uint64_t> network;  // names its network namespace; nothing before Linux 5.14
  std::optional<Transport> transport;    // nothing: neither TCP (or MPTCP, as Go has it) nor UDP
  std::optional<SocketDomain> domain;    // nothing: neither AF_INET nor AF_INET6
  bool v6_only = false;                  // IPV6_V6ONLY
  bool bound = false;                    // it has a port
  bool non_blocking = false;             // O_NONBLOCK, of the open file description
};
// ENOTSOCK for anything else.
[[nodiscard]] Result<SocketFacts> socket_facts(BorrowedFd socket);

// O_NONBLOCK belongs to the open file description: everybody who has the socket by inheritance or by passing shares it.
[[nodiscard]] Outcome set_non_blocking(BorrowedFd socket, bool non_blocking);

// Sets on `to` what was set on `from`: options that programs set before they bind and that matter afterwards, many
// because accepted connections inherit them (TCP_NODELAY, keep-alive, buffer sizes, TCP_DEFER_ACCEPT, packet
// information for datagrams, ...). Not those that have done their work once a socket is bound (SO_REUSEADDR,
// SO_REUSEPORT, IPV6_V6ONLY, SO_BINDTODEVICE, IP_FREEBIND, IP_TRANSPARENT), nor socket filters and memberships of
// multicast groups. What the kernel refuses stays as it is.
void adopt_options(BorrowedFd from, BorrowedFd to);

}  // namespace holdfast
