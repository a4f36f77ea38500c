#include "target.h"

#include <charconv>
#include <cstddef>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

namespace holdfast {
namespace {

constexpr std::uint32_t kFirstSource = 0x7f010000;  // 127.1.0.0

template <class Specific>
SocketAddress wrap(const Specific& specific, std::size_t length = sizeof(Specific)) {
  SocketAddress address;
  std::memcpy(&address.storage, &specific, length);
  address.length = static_cast<socklen_t>(length);
  return address;
}

std::optional<SocketAddress> unix_address(std::string_view path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) return std::nullopt;
  std::memcpy(address.sun_path, path.data(), path.size());
  const bool abstract = path.front() == '@';
  if (abstract) address.sun_path[0] = '\0';
  // An abstract name ends where its length says; a path ends with its zero byte.
  return wrap(address, offsetof(sockaddr_un, sun_path) + path.size() + (abstract ? 0 : 1));
}

std::optional<SocketAddress> tcp_address(const std::string& host, std::uint16_t port) {
  if (host == "[::1]") {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    address.sin6_port = htons(port);
    return wrap(address);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return std::nullopt;
  if (ntohl(address.sin_addr.s_addr) >> 24 != IN_LOOPBACKNET) return std::nullopt;
  return wrap(address);
}

}  // namespace

std::optional<Target> Target::parse(std::string_view text) {
  constexpr std::string_view kUnix = "unix:";
  std::optional<SocketAddress> address;
  if (text.starts_with(kUnix)) {
    address = unix_address(text.substr(kUnix.size()));
  } else {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data() + colon + 1, text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size() || port == 0) return std::nullopt;
    address = tcp_address(std::string(text.substr(0, colon)), port);
  }
  if (!address) return std::nullopt;
  Target target;
  target.address_ = *address;
  return target;
}

SocketAddress source_address(std::uint32_t index) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(kFirstSource + 1 + index);
  return wrap(address);
}

}  // namespace holdfast
