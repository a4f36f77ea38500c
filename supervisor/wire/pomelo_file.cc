#include "wire/pomelo_file.h"

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

namespace holdfast {

namespace {

using Json = nlohmann::json;

// "3050++" is Pomelo's for: this port, and the next ones for the servers of a cluster.
std::optional<unsigned> port_of(const Json& server) {
  const auto at = server.find("clientPort");
  if (at == server.end()) return std::nullopt;
  const std::string text = at->is_string() ? at->get<std::string>() : at->dump();
  unsigned port = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || port > 65535) break;
    port = port * 10 + static_cast<unsigned>(c - '0');
  }
  return port > 0 && port <= 65535 ? std::optional(port) : std::nullopt;
}

std::string text_of(const Json& server, const char* name) {
  const auto at = server.find(name);
  return at != server.end() && at->is_string() ? at->get<std::string>() : "";
}

unsigned count_of(const Json& server) {
  const auto at = server.find("clusterCount");
  if (at == server.end()) return 1;
  const std::string text = at->is_string() ? at->get<std::string>() : at->dump();
  const bool is_number = !text.empty() && text.size() <= 3 && text.find_first_not_of("0123456789") == std::string::npos;
  return is_number ? static_cast<unsigned>(std::stoul(text)) : 1;
}

Result<std::vector<PomeloServer>> servers_of(const std::string& kind, const Json& list) {
  std::vector<PomeloServer> servers;
  for (const Json& server : list) {
    if (!server.is_object()) return Error{{}, "a server of '" + kind + "' is not an object"};
    const std::optional<unsigned> port = port_of(server);
    for (unsigned i = 0; i < count_of(server); i++) {
      servers.push_back({text_of(server, "id"), text_of(server, "host"), port ? std::optional(*port + i) : port});
    }
  }
  return servers;
}

Result<PomeloKinds> kinds_of(const Json& object) {
  PomeloKinds kinds;
  for (const auto& [kind, list] : object.items()) {
    if (!list.is_array()) return Error{{}, "'" + kind + "' is not a list of servers"};
    Result<std::vector<PomeloServer>> servers = servers_of(kind, list);
    if (!servers) return std::move(servers).error();
    if (!servers->empty()) kinds[kind] = *std::move(servers);
  }
  return kinds;
}

}  // namespace

Result<PomeloEnvironments> parse_pomelo_file(std::string_view text) {
  const Json json = Json::parse(text, nullptr, false, true);
  if (!json.is_object() || json.empty()) return Error{{}, "it is no object of JSON with the servers of Pomelo"};
  PomeloEnvironments environments;
  const bool has_environments = !json.begin()->is_array();
  const Json whole = has_environments ? json : Json{{"development", json}};
  for (const auto& [name, object] : whole.items()) {
    if (!object.is_object()) return Error{{}, "'" + name + "' is not an object of kinds of servers"};
    Result<PomeloKinds> kinds = kinds_of(object);
    if (!kinds) return Error{{}, name + ": " + kinds.error().message()};
    environments[name] = *std::move(kinds);
  }
  return environments;
}

}  // namespace holdfast
