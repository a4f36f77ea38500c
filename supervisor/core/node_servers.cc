#include "core/node_servers.h"

#include <algorithm>
#include <cerrno>

namespace holdfast {

namespace {

// Opened again, or beside another of the same port, it is the same server; only servers on no port of their own are
// told apart by their order.
NodeServer identity_of(NodeServer server) {
  if (server.kind == NodeServer::Kind::Unix || server.port != 0) server.index = 0;
  return server;
}

bool is_meant(const ListenAddress& listener, const NodeServer& server) {
  if (const auto* path = std::get_if<UnixAddress>(&listener)) {
    return server.kind == NodeServer::Kind::Unix && path->path == server.address;
  }
  const auto* tcp = std::get_if<TcpAddress>(&listener);
  return tcp != nullptr && server.kind != NodeServer::Kind::Unix && server.port != 0 && tcp->port == server.port;
}

// In either serialization: what a server that shares nothing says.
bool is_missing(const std::string& data) { return data.empty() || data == "null" || data == "0"; }

bool has_same_address(const ListenAddress& listener, const NodeServer& server) {
  const auto* tcp = std::get_if<TcpAddress>(&listener);
  return tcp != nullptr && IpAddress::parse(server.address) == tcp->address;
}

}  // namespace

NodeServers::Answer NodeServers::answer(const NodeServer& server, const std::string& data) {
  if (server.kind == NodeServer::Kind::Udp) {
    return Refused{ENOTSUP, to_text(server) +
                                ": UDP sockets of cluster workers are not supported: bind it with "
                                "{exclusive: true, reuseAddr: true}, or in one process of its own"};
  }
  if (server.kind == NodeServer::Kind::Descriptor) {
    return Refused{EBADF, to_text(server) + " means a descriptor of the supervisor: listen on a port or a path"};
  }
  const std::optional<std::uint32_t> listener = listener_for(server);
  if (!listener) {
    return Refused{EADDRNOTAVAIL, to_text(server) + ": each listener has its server already (" + listed() +
                                      "): give this one a listener too, with the same port (-l)"};
  }
  std::string& shared = data_[*listener];
  if (is_missing(shared)) shared = data;  // as Node's primary does: a server of TLS would throw at it
  Granted granted{ListenerId{*listener}, std::nullopt, shared};
  if (const auto* bound = std::get_if<TcpAddress>(&listeners_[*listener].address);
      bound != nullptr && server.kind != NodeServer::Kind::Unix) {
    granted.bound = *bound;
    // Told another port than it has asked for, a worker takes that for a failed bind.
    if (server.port != 0) granted.bound->port = server.port;
  }
  return granted;
}

std::optional<ListenerId> NodeServers::stand_in(ListenerId listener, const std::vector<ListenerId>& servers,
                                                Stands stands) const {
  const auto is_its = [&](const auto& taken) { return taken.second == listener.value; };
  if (listener.value >= listeners_.size() || std::any_of(taken_.begin(), taken_.end(), is_its)) return std::nullopt;
  const Offered& asked = listeners_[listener.value];
  const bool is_path = std::holds_alternative<UnixAddress>(asked.address);
  std::vector<ListenerId> alike;
  for (const ListenerId server : servers) {
    if (server == listener || server.value >= listeners_.size()) return std::nullopt;
    const Offered& own = listeners_[server.value];
    if (!asked.name.empty() && own.name == asked.name) return server;
    if (std::holds_alternative<UnixAddress>(own.address) == is_path) alike.push_back(server);
  }
  if (stands == Stands::OfTheSameName || alike.size() != 1) return std::nullopt;
  return alike.front();
}

std::string NodeServers::servers_listed() const {
  std::string text;
  for (const auto& [server, listener] : taken_) text += (text.empty() ? "" : ", ") + to_text(server);
  return text.empty() ? "there is none" : text;
}

std::optional<std::uint32_t> NodeServers::listener_for(const NodeServer& asked) {
  const NodeServer server = identity_of(asked);
  if (const auto known = taken_.find(server); known != taken_.end()) return known->second;
  const auto is_free = [&](std::uint32_t listener) {
    return std::none_of(taken_.begin(), taken_.end(), [&](const auto& taken) { return taken.second == listener; });
  };
  const auto had = [&](const std::string& name) {
    const auto before = before_.find(name);
    return before != before_.end() && before->second == server;
  };
  // The same port or path counts for more than the name that it had, that for more than the same address, that for more
  // than the kind, and that for more than the order.
  std::optional<std::uint32_t> best;
  int best_rank = 0;
  for (std::uint32_t i = 0; i < listeners_.size(); i++) {
    if (!is_free(i) || listeners_[i].fate == Offered::Fate::Leaves) continue;
    const ListenAddress& address = listeners_[i].address;
    const bool same_kind = std::holds_alternative<UnixAddress>(address) == (server.kind == NodeServer::Kind::Unix);
    const int rank = 1 + (is_meant(address, server) ? 8 : 0) + (had(listeners_[i].name) ? 4 : 0) +
                     (has_same_address(address, server) ? 2 : 0) + (same_kind ? 1 : 0);
    if (rank > best_rank) best = i;
    best_rank = std::max(rank, best_rank);
  }
  if (best) taken_[server] = *best;
  return best;
}

std::string NodeServers::listed() const {
  std::string text;
  for (const Offered& listener : listeners_) {
    if (listener.fate == Offered::Fate::Stays) text += (text.empty() ? "" : ", ") + to_text(listener.address);
  }
  return text.empty() ? "there is none" : text;
}

NodeServers::Saved NodeServers::save() const {
  Saved saved;
  for (const auto& [server, listener] : taken_) saved.taken.push_back({server, listener});
  for (const auto& [listener, data] : data_) saved.shared.push_back({listener, data});
  return saved;
}

void NodeServers::adopt(const Saved& saved) {
  for (const Taken& taken : saved.taken) taken_[taken.server] = taken.listener;
  for (const Shared& shared : saved.shared) data_[shared.listener] = shared.data;
}

void NodeServers::forget_servers() {
  for (const auto& [server, listener] : taken_) {
    if (listener < listeners_.size() && !listeners_[listener].name.empty()) before_[listeners_[listener].name] = server;
  }
  taken_.clear();
}

}  // namespace holdfast
