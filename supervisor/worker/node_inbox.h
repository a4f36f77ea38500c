#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/node_serialization.h"
#include "core/node_session.h"
#include "core/result.h"
#include "core/time.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sys/fd_table.h"
#include "sys/unique_fd.h"
#include "wire/saved_node.h"
#include "worker/connection_sink.h"

namespace holdfast {

// Where the connections of a slot wait for its worker, if that is a Node.js process: each goes over Node's own IPC
// channel in a message of its own, and our copy stays here until the worker has taken it up (core/node_session.h). So,
// unlike an Inbox, each worker has a channel of its own, and what was on its way to one that has ended is here again.
//
// Connections go to the worker's server for their listener, or to the one that stands in for it. Where there is neither
// they are strays: they wait in nobody's way, and the owner may take them.
//
// waiting = unsent + on their way. How many connections a worker has open Node does not tell: it is known as far as the owner
// finds it out, and says so.
class NodeInbox final : public ConnectionSink {
 public:
  // Called from the loop, or from within a call of this inbox. All of them are needed but the last five.
  struct Hooks {
    std::function<NodeServers::Answer(NodeInbox&, const NodeQuery&)> on_query;  // its reason is the owner's to log
    std::function<void(NodeInbox&)> on_ready;
    std::function<void(NodeInbox&, bool accepts)> on_accepting;  // all its servers are closed, or one is open again
    std::function<void(NodeInbox&, const std::string& why)> on_leaves;  // it takes no more, nobody has told it to
    // Connections that this worker will not take wait here again; another may have them.
    std::function<void(NodeInbox&)> on_came_back;
    std::function<void(NodeInbox&, const NodeSession::Heard&)> on_heard;
    std::function<void(NodeInbox&, const Error&)> on_garbage;  // what came is not the protocol
    std::function<void()> on_room;                             // it has taken something up, and that was wanted
    std::function<void(NodeInbox&, BorrowedFd)> on_taken_up;   // each connection, while it is still ours as well
    std::function<void()> on_recount;                          // what is open should be known now
    // Which of the worker's servers stands in for a listener that has none there (NodeServers::stand_in).
    std::function<std::optional<ListenerId>(const NodeInbox&, ListenerId, const std::vector<ListenerId>& servers)>
        stand_in;
    std::function<void(NodeInbox&)> on_strays;  // there are some here, or may be for another reason than before
    // What is known of the worker has changed in a way that another program must know that goes on with it: it is acted
    // upon when this returns.
    std::function<void()> before_acting;
  };
  NodeInbox(Loop& loop, NodeSession::Policy policy, NodeSerialization serialization, Hooks hooks);
  ~NodeInbox() override;

  // Goes on where another one has stopped, with the same worker. `save`: between two calls from the loop.
  [[nodiscard]] static std::unique_ptr<NodeInbox> adopt(Loop& loop, NodeSession::Policy policy,
                                                        NodeSerialization serialization, Hooks hooks,
                                                        const SavedNodeInbox& saved, FdTable& fds);
  [[nodiscard]] SavedNodeInbox save(FdList& fds, SavedFor what) const;
  // After `adopt` of what was saved for a sudden end, and before the loop turns: what was heard and said since then is
  // found out as far as it can be. Parts of messages may be missing on both ways: on the one to us it is what comes
  // first, which is passed over if it is no message; a worker that was told half of something can be told nothing more,
  // and leaves (`on_leaves`).
  void recover();
  // Its worker has said that it leaves by itself, and lives.
  [[nodiscard]] bool is_leaving() const;

  // How workers are spoken to that are started from now on. The present one has ended.
  void set_ways(NodeSession::Policy policy, NodeSerialization serialization);
  // Makes the channel for a worker that is about to be started, and answers its end: descriptor 3 of the child. Once the
  // child has it, the caller's is to be closed: else the end of the worker cannot be seen.
  [[nodiscard]] Result<UniqueFd> open_channel();

  // Hears what the worker has said up to now, without waiting for the loop's turn.
  void catch_up();
  // The worker counts as ready though it has not said so (NodeSession::on_ready).
  void consider_ready();
  [[nodiscard]] std::string why_not_ready() const;
  // It has had its time to open its servers. What it has no server for by then it will not have one for.
  void consider_told();
  [[nodiscard]] bool is_told() const;
  // Whether it has open servers; and whether one of them takes the connections of this listener.
  [[nodiscard]] bool serves() const;
  [[nodiscard]] bool serves(ListenerId listener) const;
  [[nodiscard]] bool has_server(ListenerId listener) const;  // of its own
  [[nodiscard]] bool has_stopped_accepting() const;
  // Connections that it has no use for, by listener; and those of one beyond the first so many.
  [[nodiscard]] std::map<ListenerId, std::size_t> strays() const;
  [[nodiscard]] std::vector<Connection> take_strays(ListenerId listener, std::size_t kept);
  // The worker, which has not called listen(), is taken for one of this dialect (NodeSession::adopt).
  [[nodiscard]] bool adopt(NodeDialect found);
  [[nodiscard]] bool takes_by_message() const;
  [[nodiscard]] NodeSigns signs() const;
  // A message for the program, as process.on('message') gets it. False: it was dropped, because the
  // worker does not read its channel and too much waits there.
  [[nodiscard]] bool say(const NodeOrder& order);

  void put(Connection connection) override;
  // Answers no descriptors: they are needed until the worker has answered.
  std::vector<UniqueFd> flush() override;
  [[nodiscard]] bool unsent() const override;
  // Connections that the worker does not take any more do not hold up the drain: they stay (on_came_back).
  void drain(const DrainOrder& order) override;
  [[nodiscard]] Account account() const override;
  [[nodiscard]] TimePoint heartbeat(TimePoint now) const override;
  // What the owner has found out of the present worker's connections.
  void count_open() { open_++; }
  void count_closed() { open_ -= std::min<std::uint64_t>(open_, 1); }
  void recount_open() override {
    if (hooks_.on_recount) hooks_.on_recount();
  }
  void want_room(bool wanted) override;
  // Also hears the last words of the worker that has ended, so that what it had taken up is known.
  void settle() override;
  // What is unsent: that which is on its way comes back by itself or was taken up.
  [[nodiscard]] std::vector<Connection> take_back_some() override;
  [[nodiscard]] bool is_shut() const override { return false; }  // the next worker gets another channel

 private:
  struct Channel;
  enum class Blocked {
    No,
    QueueFull,  // until the channel is writable
    Otherwise,  // nobody reports the end of that, so a timer asks
    Closed,     // nobody reads it any more: the end will be read
  };

  void on_due();
  void on_channel_ready(bool readable, bool writable);
  // WhatCameAtOnce: the loop reports what is left.
  enum class Hear { AllThatThereIs, WhatCameAtOnce };
  void read(Hear how);
  void hear(Channel& channel, std::string_view bytes);
  void distrust(Channel& channel, const Error& error);
  void on_unreadable(Channel& channel, const Error& error);
  void dismiss(Channel& channel, const std::string& why);
  void finish_turn();

  enum class Asked { No, Yes };
  void append(const NodeOrder& order, Asked asked);
  void perform_all(const NodeSession::Effects& effects);
  void perform(const NodeSession::Send& effect);
  void perform(const NodeSession::TakenUp& effect);
  void perform(const NodeSession::CameBack& effect);
  void perform(const NodeSession::Asked& effect);
  void perform(const NodeSession::IsReady&);
  void perform(const NodeSession::StopsAccepting&);
  void perform(const NodeSession::AcceptsAgain&);
  void perform(const NodeSession::Leaves& effect);
  void perform(const NodeSession::Finish&);
  void perform(const NodeSession::Heard& effect);

  // The listener by whose server those of this one go.
  [[nodiscard]] ListenerId way_of(ListenerId listener) const;
  void write();
  // Each answers whether it has done something, and so whether there may be more to do.
  [[nodiscard]] bool write_line();
  [[nodiscard]] bool write_question();
  [[nodiscard]] bool write_connection();
  [[nodiscard]] bool write_drain();
  [[nodiscard]] bool write_end();
  void on_cut(std::string rest);
  void on_cut();
  [[nodiscard]] std::size_t send(std::string_view bytes, std::optional<BorrowedFd> fd);
  void watch();
  [[nodiscard]] bool may_let_answers_gather() const;
  void let_answers_gather();
  void close_channel();

  Loop& loop_;
  NodeSession::Policy policy_;
  NodeSerialization serialization_;  // of the present channel
  Hooks hooks_;
  std::map<std::uint16_t, std::deque<Connection>> unsent_;  // by listener
  std::map<std::uint64_t, Connection> in_flight_;           // by the number that they were sent under
  std::vector<Connection> came_back_;                       // in this turn
  std::vector<UniqueFd> taken_up_;                          // in this turn
  std::optional<TimePoint> unsent_drain_;
  bool room_wanted_ = false;
  bool settling_ = false;  // the owner knows already what it would be told
  std::uint64_t last_sent_ = 0;
  std::uint64_t taken_ = 0;  // by all workers
  std::uint64_t open_ = 0;   // of the present one
  std::shared_ptr<Channel> channel_;
  Timer timer_;
};

}  // namespace holdfast
