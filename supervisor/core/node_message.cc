#include "core/node_message.h"

namespace holdfast {

std::string to_text(const NodeServer& server) {
  const std::string host = server.address.empty() ? "" : ", '" + server.address + "'";
  switch (server.kind) {
    case NodeServer::Kind::Tcp4:
    case NodeServer::Kind::Tcp6:
      return "server.listen(" + std::to_string(server.port) + host + ")";
    case NodeServer::Kind::Unix:
      return "server.listen('" + server.address + "')";
    case NodeServer::Kind::Udp:
      return "socket.bind(" + std::to_string(server.port) + host + ")";
    case NodeServer::Kind::Descriptor:
      break;
  }
  return "server.listen({fd})";
}

}  // namespace holdfast
