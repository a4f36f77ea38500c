#pragma once

#include <span>
#include <utility>
#include <vector>

#include "core/open_connections.h"
#include "core/result.h"
#include "sys/unique_fd.h"

namespace holdfast {

// Asks the kernel what has become of connections, whoever has them now (sock_diag(7), one lookup in its table for each: no
// privilege, no list of all sockets). Only TCP connections of our own network namespace; IPv6 link-local ones are not found.
class TcpStates {
 public:
  // Errors: a kernel or a sandbox that does not tell (the module tcp_diag, NETLINK_SOCK_DIAG).
  [[nodiscard]] static Result<TcpStates> open();

  // For each, whether somebody here holds it open: it is established, or only the other side has closed. What the kernel does not
  // answer counts as open.
  [[nodiscard]] std::vector<bool> are_open(std::span<const ConnectionEnds> connections) const;

 private:
  explicit TcpStates(UniqueFd socket) : socket_(std::move(socket)) {}
  void ask(std::span<const ConnectionEnds> connections, std::vector<bool>& open) const;

  UniqueFd socket_;
};

}  // namespace holdfast
