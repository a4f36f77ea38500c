#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <sys/socket.h>

namespace holdfast {

// A socket address of any family, ready for connect(2) and bind(2).
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

// Where the load goes: always this machine. "127.0.0.1:8080" (any address of 127/8), "[::1]:8080", "unix:/path" or
// "unix:@name". Anything else is refused: this program is a way to overload a server, so it aims at nobody else's.
class Target {
 public:
  [[nodiscard]] static std::optional<Target> parse(std::string_view text);

  [[nodiscard]] int family() const { return address_.storage.ss_family; }
  [[nodiscard]] const SocketAddress& address() const { return address_; }
  // Whether a client can choose the address it comes from. 127/8 has sixteen million; ::1 and a path have one.
  [[nodiscard]] bool has_many_sources() const { return family() == AF_INET; }

 private:
  SocketAddress address_;
};

// The loopback address of source number `index`, any port: 127.1.0.0 + index.
inline constexpr std::uint32_t kMostSources = 1'000'000;
[[nodiscard]] SocketAddress source_address(std::uint32_t index);

}  // namespace holdfast
