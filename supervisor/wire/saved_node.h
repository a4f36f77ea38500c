#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/node_client_sessions.h"
#include "core/node_dialect.h"
#include "core/node_relay.h"
#include "core/node_servers.h"
#include "core/node_session.h"
#include "core/time.h"
#include "wire/saved_connection.h"

namespace holdfast {

// What a pool of Node.js workers hands on (wire/saved_state.h). To a program that goes on after a sudden end it does
// not hand on connections and parts of messages: they end with who had them.

// A worker's end of it is the worker's alone.
struct SavedNodeChannel {
  std::string fd;
  NodeSession::Saved session;
  std::string heard;                 // the beginning of a message, hexadecimal
  std::vector<std::string> to_send;  // messages, or what is left of one, hexadecimal
  bool cut = false;                  // the worker has a part of the first of them, and the rest is to follow
  bool distrusted = false;
  bool ended = false;
  bool to_be_closed = false;
};

struct SavedNodeInbox {
  struct InFlight {
    std::uint64_t number = 0;  // that it was sent under
    SavedConnection connection;
  };
  std::optional<SavedNodeChannel> channel;
  std::vector<SavedConnection> unsent;
  std::vector<InFlight> in_flight;
  std::optional<TimePoint> unsent_drain;
  std::uint64_t last_sent = 0;
  std::uint64_t taken = 0;
};

struct SavedNodeWorkers {
  NodeDialect found = NodeDialect::Auto;
  NodeServers::Saved servers;
  std::map<std::string, NodeRelay::Adapter> adapters;
  std::map<std::string, WorkerId> sessions;                // for an upgrade, which every version knows
  std::vector<NodeClientSessions::Saved> newest_sessions;  // for a sudden end
  // By worker: what it has open, as far as that matters; both ends of each.
  std::map<std::string, std::vector<std::string>> open = {};
};

}  // namespace holdfast
