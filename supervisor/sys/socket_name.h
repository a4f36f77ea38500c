#pragma once

#include <sys/socket.h>

#include <cstdint>

#include "core/ip_address.h"

namespace holdfast {

// A sockaddr of any family. Only for the .cc files of sys/.
struct SocketName {
  sockaddr_storage storage{};
  socklen_t length = sizeof(sockaddr_storage);  // as accept and getsockname want it before they fill it

  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// AF_INET; the address must be IPv4.
[[nodiscard]] SocketName v4_name(const IpAddress& address, std::uint16_t port);
// AF_INET6; an IPv4 address in its mapped form.
[[nodiscard]] SocketName v6_name(const IpAddress& address, std::uint16_t port);

}  // namespace holdfast
