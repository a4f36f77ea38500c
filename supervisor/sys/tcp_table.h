#pragma once

#include <sys/types.h>

#include <set>
#include <string>
#include <vector>

#include "core/listen_address.h"

namespace holdfast {

// What /proc tells of the TCP sockets of a process. Empty where it does not let us see: another user's process, or one
// that is gone. It takes some microseconds for each socket of the process and of its network.

struct TcpSocket {
  TcpAddress local;
  unsigned state = 0;  // TCP_LISTEN, TCP_ESTABLISHED ... of <netinet/tcp.h>
  std::string inode;   // as /proc/PID/fd names it; "0": nobody has it open any more
};

// All of the network that the process lives in, or those of it that listen: of these the kernel tells first, so that thousands of
// connections cost nothing.
enum class TcpRows { All, Listening };
[[nodiscard]] std::vector<TcpSocket> tcp_table(pid_t pid, TcpRows wanted);

// The inodes of all sockets, of any kind, that the process has open.
[[nodiscard]] std::set<std::string> socket_inodes(pid_t pid);

}  // namespace holdfast
