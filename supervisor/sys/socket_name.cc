#include "sys/socket_name.h"

#include <netinet/in.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>

namespace holdfast {

SocketName v4_name(const IpAddress& address, std::uint16_t port) {
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v4.sin_addr.s_addr = htonl(address.word(0));
  SocketName name;
  std::memcpy(&name.storage, &v4, sizeof v4);
  name.length = sizeof v4;
  return name;
}

SocketName v6_name(const IpAddress& address, std::uint16_t port) {
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  const std::array<std::uint8_t, 16> bytes = address.bytes();
  std::copy(bytes.begin(), bytes.end(), std::begin(v6.sin6_addr.s6_addr));
  SocketName name;
  std::memcpy(&name.storage, &v6, sizeof v6);
  name.length = sizeof v6;
  return name;
}

}  // namespace holdfast
