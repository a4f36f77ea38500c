#pragma once

#include <unistd.h>

#include <string>

namespace holdfast::test {

// Other programs that stand in front of servers, where they are installed.

inline std::string program(const std::string& name) {
  for (const std::string directory : {"/usr/sbin/", "/usr/bin/"}) {
    if (::access((directory + name).c_str(), X_OK) == 0) return directory + name;
  }
  return "";
}

// An address of this machine that no other test process takes, so that ports need not be searched for.
inline std::string own_address() {
  const int pid = ::getpid();
  return "127." + std::to_string(16 + (pid >> 16) % 200) + "." + std::to_string(pid >> 8 & 255) + "." +
         std::to_string(pid & 255);
}

}  // namespace holdfast::test
