#include "support/own_port.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

namespace holdfast::test {
namespace {

constexpr int kFirst = 2048;

int first_of_the_kernels() {
  std::ifstream range("/proc/sys/net/ipv4/ip_local_port_range");
  int first = 0;
  range >> first;
  return first;
}

bool is_free(int family, int type, std::uint16_t port) {
  const int fd = ::socket(family, type | SOCK_CLOEXEC, 0);
  if (fd < 0) return family == AF_INET6;  // this host has none
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  const int yes = 1;
  (void)::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof yes);
  const int bound = family == AF_INET6 ? ::bind(fd, reinterpret_cast<const sockaddr*>(&v6), sizeof v6)
                                       : ::bind(fd, reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
  ::close(fd);
  return bound == 0;
}

bool is_free(std::uint16_t port) {
  return is_free(AF_INET, SOCK_STREAM, port) && is_free(AF_INET, SOCK_DGRAM, port) &&
         is_free(AF_INET6, SOCK_STREAM, port) && is_free(AF_INET6, SOCK_DGRAM, port);
}

}  // namespace

std::uint16_t own_port() {
  const int range = first_of_the_kernels() - kFirst;
  if (range <= 0) std::abort();  // a machine that gives every port away
  // Tests that run at the same time begin at different places: their pids are near each other.
  static unsigned next = static_cast<unsigned>(::getpid()) * 61;
  for (int tried = 0; tried < range; tried++) {
    const auto port = static_cast<std::uint16_t>(kFirst + static_cast<int>(next++ % static_cast<unsigned>(range)));
    if (is_free(port)) return port;
  }
  std::abort();
}

}  // namespace holdfast::test
