#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "core/ids.h"
#include "core/node_message.h"

namespace holdfast {

// Where the sessions of Socket.IO live, as the workers of @socket.io/sticky announce them. A client that asks again for
// its session, from whatever address, must come to the worker that has it.
//
// An announcement may still be on its way when the client's next request is here: whoever finds a session unknown
// listens to all workers first (NodeInbox::catch_up), and asks once more.
class NodeClientSessions {
 public:
  void on_session(WorkerId worker, const NodeClientSession& session);
  void on_gone(WorkerId worker);
  [[nodiscard]] std::optional<WorkerId> worker_of(std::string_view id) const;
  // For a program that goes on where this one stops: the worker of each session.
  using Workers = std::map<std::string, WorkerId, std::less<>>;
  [[nodiscard]] const Workers& workers() const { return workers_; }
  void adopt(const Workers& workers);
  [[nodiscard]] std::size_t size() const { return workers_.size(); }

 private:
  Workers workers_;
  std::map<WorkerId, std::size_t> sessions_of_;
};

// The session that a request asks for: "sid" in the query of its target. Empty: none, or what Engine.IO never gives out.
[[nodiscard]] std::string_view session_in(std::string_view target);

}  // namespace holdfast
