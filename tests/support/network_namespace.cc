#include "support/network_namespace.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "support/process.h"
#include "support/temp_directory.h"

namespace holdfast::test {

namespace {

// Makes the caller root of a user namespace in which it is alone; files are still reached as before.
std::string become_root_of_own_namespace() {
  const std::string uid = std::to_string(::geteuid());
  const std::string gid = std::to_string(::getegid());
  if (::unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return std::string("unshare: ") + std::strerror(errno);
  write_text("/proc/self/setgroups", "deny");
  write_text("/proc/self/uid_map", "0 " + uid + " 1");
  write_text("/proc/self/gid_map", "0 " + gid + " 1");
  return ::geteuid() == 0 ? "" : "the user namespace got no identity";
}

}  // namespace

NetworkNamespace::NetworkNamespace() {
  if (::geteuid() == 0) {
    before_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    if (::unshare(CLONE_NEWNET) != 0) missing_ = std::string("unshare: ") + std::strerror(errno);
  } else {
    missing_ = become_root_of_own_namespace();
  }
  if (!missing_.empty()) return;
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"ip", "link", "set", "lo", "up"},
        std::vector<std::string>{"ip", "-6", "route", "add", "local", "fd00::/16", "dev", "lo"}}) {
    const Ran ran = run(command);
    if (ran.exit_code != 0) {
      missing_ = "ip: " + ran.errors;
      return;
    }
  }
}

NetworkNamespace::~NetworkNamespace() {
  if (before_ < 0) return;
  (void)::setns(before_, CLONE_NEWNET);
  ::close(before_);
}

std::vector<std::string> ipv6_sources(unsigned count) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::vector<std::string> sources;
  sources.reserve(count);
  for (unsigned i = 1; i <= count; ++i) {
    std::string network;
    for (int shift = 12; shift >= 0; shift -= 4) network += kDigits[(i >> shift) & 0xf];
    sources.push_back("fd00:0:0:" + network + "::1");
  }
  return sources;
}

}  // namespace holdfast::test
