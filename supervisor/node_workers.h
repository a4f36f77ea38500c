#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "core/ids.h"
#include "core/node_client_sessions.h"
#include "core/node_guess.h"
#include "core/node_relay.h"
#include "core/node_servers.h"
#include "core/result.h"
#include "listener/census.h"
#include "loop/loop.h"
#include "node_program.h"
#include "worker/node_inbox.h"

namespace holdfast {

// What Node.js workers of a pool have in common, and would have from their primary: which of their servers has which
// listener, what one says to the others, and where the sessions of Socket.IO live. Their inboxes are made here and
// borrowed from whoever has them, from `begin` to `on_gone` of a worker.
class NodeWorkers {
 public:
  // Called from the loop, or from within a call of an inbox.
  struct Hooks {
    std::function<std::vector<NodeServers::Offered>()> listeners;  // of the pool, by ListenerId
    std::function<std::string(WorkerId)> label;                    // for the log
    std::function<void(WorkerId)> on_ready;
    std::function<void(WorkerId, bool accepts)> on_accepting;
    std::function<void(WorkerId, const std::string& why)> on_leaves;
    std::function<void(WorkerId)> on_came_back;
    std::function<void(const NodeInbox&, const Error&)> on_garbage;
    std::function<void()> on_room;
    std::function<void(const std::string&)> on_session;  // of Socket.IO: it has begun
    std::function<void()> on_strays;                     // some inbox has connections that its worker has no use for
    std::function<void()> before_acting;                 // NodeInbox::Hooks
  };
  NodeWorkers(Loop& loop, const PoolConfig& pool, Hooks hooks);

  [[nodiscard]] std::unique_ptr<NodeInbox> make_inbox();
  // For a program that goes on where this one stops: what the workers have in common; their inboxes are saved by who has them.
  [[nodiscard]] SavedNodeWorkers save(SavedFor what) const;
  void adopt(const SavedNodeWorkers& saved);
  [[nodiscard]] std::unique_ptr<NodeInbox> adopt_inbox(const SavedNodeInbox& saved, FdTable& fds);
  void adopt_worker(WorkerId worker, NodeInbox& inbox);
  // A worker is about to be started on the inbox: answers its end of the channel.
  [[nodiscard]] Result<UniqueFd> begin(WorkerId worker, NodeInbox& inbox);
  // In what words the workers of the pool take connections: what was wished; under auto what has been found, and Auto
  // until then.
  [[nodiscard]] NodeDialect dialect() const;
  // It has been given its time to call listen(). Under auto a worker that has not is taken for what it may be, and so are
  // all others of the pool that do not. Answers whether it takes connections by message now, and so needs no server.
  [[nodiscard]] bool on_grace_over(WorkerId worker);
  // It counts as ready, by whatever sign.
  void on_ready(WorkerId worker);
  // It is ready, and has been given its time to open its servers.
  void on_told(WorkerId worker);
  // Connections in the inbox of a worker that will be served by nobody: of a listener for which no worker has a server, or
  // that are too many to wait until this worker has one again. The log tells of each such listener once.
  [[nodiscard]] std::vector<Connection> take_strays(NodeInbox& inbox);
  // It has ended, and its inbox has heard its last words: the others are told.
  void on_gone(WorkerId worker);
  // In which the session of Socket.IO lives. Before it counts as unknown every worker is heard: what announces it may be on its way.
  [[nodiscard]] std::optional<WorkerId> worker_with(const std::string& session);
  // Messages between workers that did not reach one, because it did not read.
  [[nodiscard]] std::uint64_t dropped() const { return dropped_; }
  // Finds out which of the connections that they have taken up are closed. Bounded in time: of many, a part at each call.
  void recount_open();
  // Workers of another program are coming.
  void forget_servers();

 private:
  void guess_dialect(WorkerId worker, const NodeInbox& inbox);
  void on_granted(WorkerId worker);
  [[nodiscard]] NodeInbox::Hooks hooks_of_inbox();
  [[nodiscard]] bool may_be_served(ListenerId listener) const;
  void report_unserved(ListenerId listener);
  [[nodiscard]] WorkerId worker_of(const NodeInbox& inbox) const;
  [[nodiscard]] NodeServers::Answer answer(WorkerId worker, const NodeQuery& query);
  void on_taken_up(WorkerId worker, BorrowedFd connection);
  void begin_to_count();
  void recall_open(WorkerId worker, NodeInbox& inbox);
  void on_heard(WorkerId from, const NodeSession::Heard& heard);
  void on_text(WorkerId from, const std::string& payload);
  void tell(WorkerId worker, const NodeOrder& order);

  Loop& loop_;
  const PoolConfig& pool_;
  Hooks hooks_;
  NodeSerialization serialization_;  // in which the servers' data are
  NodeServers servers_{{}};
  NodeDialect found_ = NodeDialect::Auto;
  std::optional<NodeProgram> program_;  // as it was when the last worker was started; none: nobody has asked for it
  NodeRelay relay_;
  NodeClientSessions sessions_;
  TimePoint heard_all_at_{};    // the turn in which the workers were last heard for the sake of a session
  bool knows_servers_ = false;  // a worker of this generation has had its time to open them
  std::map<WorkerId, std::set<std::string>> refused_;  // servers, as it was reported
  std::set<ListenerId> unserved_;                      // by anybody, which was reported; so was
  std::set<ListenerId> stood_in_for_;
  std::map<WorkerId, NodeInbox*> inboxes_;  // of those that live
  std::map<std::string, std::vector<std::string>>
      open_before_;                 // for the program before us, of workers that are adopted
  std::unique_ptr<Census> census_;  // by worker, what is open; null: that has not mattered yet, or cannot be known
  bool cannot_count_ = false;       // which was reported
  std::uint64_t dropped_ = 0;       // messages for workers that did not read
  TimePoint next_complaint_{};
};

}  // namespace holdfast
