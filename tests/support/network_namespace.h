#pragma once

#include <optional>
#include <string>
#include <vector>

namespace holdfast::test {

// A network of this thread's own: loopback is up, and every IPv6 address of fd00::/16 is one of this machine. Root gets
// it and gives it back at the end; others enter a user namespace for it where the kernel lets them, and stay there.
class NetworkNamespace {
 public:
  NetworkNamespace();
  ~NetworkNamespace();
  NetworkNamespace(const NetworkNamespace&) = delete;
  NetworkNamespace& operator=(const NetworkNamespace&) = delete;

  // Why there is none; empty: it stands.
  [[nodiscard]] const std::string& missing() const { return missing_; }

 private:
  int before_ = -1;
  std::string missing_;
};

// `count` addresses of fd00::/16, each in a /64 of its own.
[[nodiscard]] std::vector<std::string> ipv6_sources(unsigned count);

}  // namespace holdfast::test
