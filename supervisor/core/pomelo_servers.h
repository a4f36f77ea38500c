#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace holdfast {

// The servers of a game of Pomelo, as its servers.json lists them.
struct PomeloServer {
  std::string id;
  std::string host;
  std::optional<unsigned> client_port;  // where players connect; others only serve servers
  bool operator==(const PomeloServer&) const = default;
};
using PomeloKinds = std::map<std::string, std::vector<PomeloServer>>;  // "connector" -> its servers
using PomeloEnvironments = std::map<std::string, PomeloKinds>;         // "development" -> ...

}  // namespace holdfast
