#pragma once

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "component/kernel_fixtures.h"
#include "core/group_address.h"
#include "core/ip_address.h"
#include "sys/unique_fd.h"

namespace holdfast {

inline GroupAddress group_of(const std::string& text, SocketDomain domain) {
  const Result<ListenAddress> address = parse_listen_address(text);
  const std::optional<GroupAddress> group = address ? group_address(*address, domain) : std::nullopt;
  if (!group) {
    ADD_FAILURE() << text << " has no such group";
    std::abort();
  }
  return *group;
}
inline GroupAddress group_of(const std::string& text) {
  const Result<ListenAddress> address = parse_listen_address(text);
  return group_of(text, address ? natural_domain(*address) : SocketDomain::Inet);
}

// The sockets of a client: of the family of its address.
struct ClientName {
  sockaddr_storage storage{};
  socklen_t length = 0;

  ClientName(const IpAddress& address, std::uint16_t port) {
    if (address.is_v6()) {
      sockaddr_in6 v6{};
      v6.sin6_family = AF_INET6;
      v6.sin6_port = htons(port);
      const auto bytes = address.bytes();
      std::copy(bytes.begin(), bytes.end(), std::begin(v6.sin6_addr.s6_addr));
      std::memcpy(&storage, &v6, length = sizeof v6);
    } else {
      sockaddr_in v4{};
      v4.sin_family = AF_INET;
      v4.sin_port = htons(port);
      v4.sin_addr.s_addr = htonl(address.word(0));
      std::memcpy(&storage, &v4, length = sizeof v4);
    }
  }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

inline IpAddress loopback_of(const IpAddress& client) {
  return *IpAddress::parse(client.is_v6() ? "::1" : "127.0.0.1");
}

// A client at `from` that is connected (for UDP: that has chosen its peer), or no descriptor; errno tells.
inline UniqueFd connect_from(const IpAddress& from, std::uint16_t port, int type = SOCK_STREAM) {
  UniqueFd fd(::socket(from.is_v6() ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, 0));
  if (from.is_v6()) {  // a network of our own routes all of fd00::/16 to itself, and has few of its addresses
    const int free_bind = 1;
    (void)::setsockopt(fd.get(), SOL_IPV6, IPV6_FREEBIND, &free_bind, sizeof free_bind);
  }
  const ClientName here(from, 0);
  const ClientName there(loopback_of(from), port);
  if (::bind(fd.get(), here.get(), here.length) != 0) return UniqueFd();
  if (::connect(fd.get(), there.get(), there.length) != 0) return UniqueFd();
  return fd;
}

// Different addresses of 127.0.0.0/8, spread all over it.
inline IpAddress loopback_client(std::uint32_t n) {
  return IpAddress::v4(0x7f000000U | (n * 2'654'435U + 77U) % 0xfffffeU);
}

inline bool has_v6() {
  const UniqueFd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  const ClientName loopback(*IpAddress::parse("::1"), 0);
  return fd && ::bind(fd.get(), loopback.get(), loopback.length) == 0;
}

}  // namespace holdfast
