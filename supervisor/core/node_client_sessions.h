#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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
  // The same for the case of a sudden end. It is written down again and again, which a hundred thousand would make dear: of more than
  // kMostOfNewest it is those that were opened last. Some of these may have ended, which nobody minds.
  struct Saved {
    WorkerId worker;
    std::string ids;  // one after the other: all are of one length
  };
  [[nodiscard]] std::vector<Saved> newest() const;
  // What `workers` has said, or `newest`.
  void adopt(const Workers& workers);
  void adopt(const std::vector<Saved>& newest);
  [[nodiscard]] std::size_t size() const { return workers_.size(); }
  static constexpr std::size_t kMostOfNewest = std::size_t{1} << 14;

 private:
  Workers workers_;
  std::deque<std::pair<std::string, WorkerId>> newest_;
  std::map<WorkerId, std::size_t> sessions_of_;
};

// The session that a request asks for: "sid" in the query of its target. Empty: none, or what Engine.IO never gives out.
[[nodiscard]] std::string_view session_in(std::string_view target);

}  // namespace holdfast
