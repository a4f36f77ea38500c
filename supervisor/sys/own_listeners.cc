#include "sys/own_listeners.h"

#include <set>
#include <string>

#include "sys/tcp_table.h"

namespace holdfast {

std::vector<TcpAddress> own_listeners(pid_t pid) {
  const std::set<std::string> inodes = socket_inodes(pid);
  std::vector<TcpAddress> listeners;
  for (const TcpSocket& socket : tcp_table(pid, TcpRows::Listening)) {
    if (inodes.count(socket.inode) > 0) listeners.push_back(socket.local);
  }
  return listeners;
}

}  // namespace holdfast
