#include "config/pomelo_import.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "config/value.h"

namespace holdfast {

namespace {

// What an environment says of one kind of servers.
struct Kind {
  unsigned workers = 0;         // on one machine
  std::set<std::string> hosts;  // more than one: the pool is one of several machines
  std::vector<unsigned> ports;  // where players connect, of the servers of one machine
  [[nodiscard]] bool has_listener() const { return ports.size() == 1; }
  // Of several, each its own: those of a worker follow from its slot if they follow each other.
  [[nodiscard]] bool has_row_of_ports() const {
    for (std::size_t i = 1; i < ports.size(); i++) {
      if (ports[i] != ports[0] + i) return false;
    }
    return ports.size() > 1;
  }
};

Kind kind_of(const std::vector<PomeloServer>& servers) {
  Kind kind;
  std::map<std::string, unsigned> of_host;
  for (const PomeloServer& server : servers) {
    kind.hosts.insert(server.host);
    kind.workers = std::max(kind.workers, ++of_host[server.host]);
    if (server.client_port && server.host == servers.front().host) kind.ports.push_back(*server.client_port);
  }
  std::sort(kind.ports.begin(), kind.ports.end());
  return kind;
}

// The keys of a pool and of its listener; what is the same in the base is left out of an overlay.
using Keys = std::map<std::string, std::string>;

Keys pool_keys(const Kind& kind) {
  Keys keys{{"workers", std::to_string(kind.workers)}};
  if (!kind.has_listener()) keys["intake"] = quoted("sdk");
  if (kind.hosts.size() > 1) keys["scope"] = quoted("fleet");
  if (kind.has_row_of_ports()) keys["environment"] = "{ CLIENT_PORT = " + std::to_string(kind.ports.front()) + " }";
  return keys;
}

Keys listener_keys(const Kind& kind, const std::string& name) {
  if (!kind.has_listener()) return {};
  return {{"address", quoted(":" + std::to_string(kind.ports.front()))}, {"pool", quoted(name)}};
}

Keys without(Keys keys, const Keys& base) {
  std::erase_if(keys, [&](const auto& key) {
    const auto same = base.find(key.first);
    return same != base.end() && same->second == key.second;
  });
  return keys;
}

std::string table(const std::string& header, const Keys& keys) {
  if (keys.empty()) return "";
  std::string text = "[" + header + "]\n";
  for (const auto& [key, value] : keys) text += key + " = " + value + "\n";
  return text + "\n";
}

std::string comments(const Kind& kind) {
  std::string text;
  if (kind.hosts.size() > 1) {
    text += "# on";
    for (const std::string& host : kind.hosts) text += " " + host;
    text += ": each runs this file, with the same [bus] redis\n";
  }
  if (kind.has_row_of_ports()) {
    text +=
        "# each binds a port of its own, CLIENT_PORT plus HOLDFAST_SLOT; behind one listener a client keeps its "
        "worker, too\n";
  } else if (kind.ports.size() > 1) {
    text += "# client ports";
    for (const unsigned port : kind.ports) text += " " + std::to_string(port);
    text += " are no row: one listener for all of them will do, a client keeps its worker\n";
  } else if (kind.ports.empty()) {
    text += "# other servers reach them by hf_send and hf_call, which lead the same key to the same worker\n";
  }
  return text;
}

std::string pool(const std::string& name, const Kind& kind) {
  Keys keys = pool_keys(kind);
  keys["command"] = "[\"./server\", " + quoted(name) + "]  # write what starts a server of this kind";
  return comments(kind) + table("pools." + key_text(name), keys);
}

}  // namespace

std::string import_pomelo(const PomeloEnvironments& environments) {
  std::string text =
      "# Made of a servers.json of Pomelo. `holdfast check -c FILE` finds mistakes, `holdfast run -c FILE` starts "
      "it.\n\n";
  const auto development = environments.find("development");
  const auto base = development != environments.end() ? development : environments.begin();
  for (const auto& [name, servers] : base->second) {
    const Kind kind = kind_of(servers);
    text += table("listeners." + key_text(name), listener_keys(kind, name)) + pool(name, kind);
  }
  for (auto at = environments.begin(); at != environments.end(); at++) {
    if (at == base) continue;
    const std::string prefix = "environments." + key_text(at->first) + ".";
    for (const auto& [name, servers] : at->second) {
      const Kind kind = kind_of(servers);
      const auto same = base->second.find(name);
      const Kind before = same == base->second.end() ? Kind{} : kind_of(same->second);
      Keys keys = without(pool_keys(kind), same == base->second.end() ? Keys{} : pool_keys(before));
      if (same == base->second.end()) keys["command"] = "[\"./server\", " + quoted(name) + "]";
      text += table(prefix + "listeners." + key_text(name),
                    without(listener_keys(kind, name), listener_keys(before, name)));
      text += table(prefix + "pools." + key_text(name), keys);
    }
  }
  return text;
}

}  // namespace holdfast
