#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/ids.h"
#include "core/node_dialect.h"
#include "core/node_guess.h"
#include "core/node_message.h"
#include "core/node_servers.h"
#include "core/result.h"
#include "core/time.h"

namespace holdfast {

// One Node.js worker's channel, from its start to its end: what the worker has asked for, which connections are on
// their way to it, what may be said to it next. It knows no descriptor and no byte; the shell does what it answers.
//
// A connection is on its way until the worker has acknowledged the descriptor and, where it came for a server of
// `cluster`, has said that the server accepts it. Until then the shell keeps its own copy: whatever happens to the
// worker, the connection can be sent again, to it or to another, for no byte of it has been read.
//
// A worker may refuse a connection (its server has maxConnections) or miss the descriptor (it is at its limit of open
// files). Then it is full: nothing is sent for a while, then one connection, and with each that is accepted the number
// that may be on the way grows again.
//
// Under the dialect Auto a worker is one of `cluster` from the moment on at which it has been granted a server. Until
// then it may be taken for one of another dialect (`adopt`): only then are connections sent to it.
//
// A session that goes on after the sudden end of who had it (`recovered`) knows less than the worker: connections that
// it knows nothing of may be on their way to it, whose answers come first. Acknowledgements have no number, so which of
// them is the first for one of its own cannot be told by looking. Therefore it sends a question first, which is
// answered in its turn like a connection: what comes before that answer is for who was there before. To a worker of
// `cluster` the question is a connection, one of ours, for a server that it does not have: it is refused by its number.
// To any other it is a message whose descriptor is missing, which is told. Nothing else may be sent meanwhile: Node
// gives a descriptor to the first message of a read that asks for one.
//
// Phases: Open until it disconnects by itself (Leaving), is told to (Draining), or its end of the channel closes
// (Ended). A worker that has closed all its servers and says nothing more has stopped accepting; it may begin again.
class NodeSession {
 public:
  enum class Readiness {
    Listening,  // its first server is open; or it says 'ready', where it needs no server
    Message,    // it says 'ready', as under PM2 with wait_ready
  };
  struct Policy {
    NodeDialect dialect = NodeDialect::Auto;
    std::string connection_message = {};  // JSON that comes with a connection; empty: the dialect's
    Readiness readiness = Readiness::Listening;
    bool say_shutdown = false;      // 'shutdown' before the drain, as PM2 with shutdown_with_message
    unsigned most_in_flight = 128;  // connections on their way; 1 at least. A channel of Linux's defaults holds 278
    Duration full_pause = std::chrono::milliseconds(50);
  };
  explicit NodeSession(Policy policy);

  enum class Phase { Open, Leaving, Draining, Ended };
  struct Server {
    std::string key;
    NodeServer described;
    std::uint16_t told_port = 0;
    ListenerId listener;
    bool open = false;                                 // until then it is only granted
    std::optional<std::int64_t> asked = std::nullopt;  // the number of the query, until it is open
  };
  struct InFlight {
    std::uint64_t connection = 0;
    std::optional<std::int64_t> number;  // of the order; none: it came as a message, and need not be accepted
    TimePoint sent_at{};
    bool arrived = false;
    std::optional<bool> accepted;
  };
  // Nothing that is sent is certain to be ours, and no answer either, before the question is answered.
  struct Unsure {
    std::optional<std::int64_t> asked;  // the number of the question that is on its way
    TimePoint asked_at{};
  };
  // All that is known of the worker, for a program that goes on where this one stops.
  struct Saved {
    std::string connection_message;
    Phase phase = Phase::Open;
    bool online = false;
    bool ready = false;
    bool disconnects = false;
    bool stopped_accepting = false;
    bool listens = false;
    NodeSigns signs;
    std::vector<Server> servers;
    unsigned granted = 0;
    std::deque<InFlight> in_flight;
    unsigned window = 1;
    TimePoint full_until{};
    TimePoint last_heard{};
    std::int64_t next_number = 0;
    std::optional<Unsure> unsure;
  };
  NodeSession(Policy policy, Saved saved);
  [[nodiscard]] Saved save() const;
  // Of a state that is older than the end of who had it: what a session can go on with. Connections that were on their
  // way are the worker's, or lost.
  [[nodiscard]] static Saved recovered(Saved saved);

  // What a message means for the shell.
  struct Send {
    NodeOrder order;
  };
  struct TakenUp {  // close our copy
    std::uint64_t connection;
  };
  struct CameBack {  // it waits again
    std::uint64_t connection;
  };
  struct Asked {  // say what it is to be told: `answer`
    NodeQuery query;
  };
  struct IsReady {};         // once
  struct StopsAccepting {};  // all its servers are closed
  struct AcceptsAgain {};    // one is open again
  struct Leaves {            // it takes no more connections, and another worker is wanted; once
    std::string why;
  };
  struct Finish {};  // no more is said to it: close our side once all is sent
  struct Heard {     // from the program, for others
    std::variant<NodeClientSession, NodeAdapterMessage, NodeText> message;
  };
  using Effect =
      std::variant<Send, TakenUp, CameBack, Asked, IsReady, StopsAccepting, AcceptsAgain, Leaves, Finish, Heard>;
  using Effects = std::vector<Effect>;

  // An error: the worker broke the protocol, and nothing more should be heard from it.
  [[nodiscard]] Result<Effects> on_message(const NodeMessage& message, TimePoint now);
  [[nodiscard]] Effects answer(const NodeQuery& query, const NodeServers::Answer& answer);
  // The worker's end of the channel is closed. What is still on its way comes back with it.
  [[nodiscard]] Effects on_end();
  // Of servers that were granted and are not open the worker may have no answer yet: it is told once more. Node.js
  // ignores an answer that it does not wait for.
  [[nodiscard]] Effects ask_again() const;
  // A wish: another worker in its place.
  [[nodiscard]] Effects dismiss(std::string why);
  // A wish: finish and leave. Once.
  [[nodiscard]] Effects drain();
  // It counts as ready, whether it has said so or not. Node acknowledges a connection before the program has started,
  // so one that comes as a message is not sent earlier.
  void on_ready() { ready_ = true; }

  // Under Auto, and while it has no server: connections come by the message of this dialect. False: that is settled.
  [[nodiscard]] bool adopt(NodeDialect found);
  [[nodiscard]] const NodeSigns& signs() const { return signs_; }
  // Connections come without a message of their own, for a server that the worker has opened; or may come to that.
  [[nodiscard]] bool by_newconn() const { return policy_.connection_message.empty(); }

  // Whether the worker takes connections of this listener now, though there may be too many on their way already.
  [[nodiscard]] bool takes(ListenerId listener, TimePoint now) const;
  // Whether one may be sent now, the message to send it with, and that it was sent.
  [[nodiscard]] bool may_send(ListenerId listener, TimePoint now) const;
  [[nodiscard]] NodeOrder connection_order(ListenerId listener) const;
  void on_sent(std::uint64_t connection, ListenerId listener, TimePoint now);

  // After a sudden end: whether the question may be sent now, what it is, and that it was sent.
  [[nodiscard]] bool may_ask(TimePoint now) const;
  struct Question {
    NodeOrder order;
    bool with_descriptor = false;  // with any stream socket
  };
  [[nodiscard]] Question question() const;
  void on_question_sent(TimePoint now);

  // The next moment at which may_send or may_ask may change by itself; kNever: none.
  [[nodiscard]] TimePoint next_deadline(TimePoint now) const;
  // When it was last known to be alive: now, unless it owes an answer, or has not read its channel since then.
  [[nodiscard]] TimePoint heartbeat(TimePoint now, std::optional<TimePoint> unread_since) const;
  [[nodiscard]] std::size_t in_flight() const { return in_flight_.size(); }
  [[nodiscard]] bool is_open() const { return phase_ == Phase::Open; }
  [[nodiscard]] bool is_leaving() const { return phase_ == Phase::Leaving; }
  // It is open, takes connections by its servers, and has one at least.
  [[nodiscard]] bool serves() const { return phase_ == Phase::Open && by_newconn() && has_open_server(); }
  [[nodiscard]] bool serves(ListenerId listener) const { return serves() && open_server(listener) != nullptr; }
  // The listeners of all servers that it was ever granted, as far as that is known: closed ones may be opened again.
  [[nodiscard]] const std::vector<ListenerId>& claimed() const { return claimed_; }
  [[nodiscard]] bool has_stopped_accepting() const { return stopped_accepting_; }
  // Before it is ready: what it has done so far, and what it may be doing instead of listening. For the log.
  [[nodiscard]] std::string why_not_ready() const;

 private:
  [[nodiscard]] std::optional<Error> hear(const NodeOnline&, TimePoint now, Effects& effects);
  [[nodiscard]] std::optional<Error> hear(const NodeQuery& query, TimePoint now, Effects& effects);
  [[nodiscard]] std::optional<Error> hear(const NodeListening& message, TimePoint now, Effects& effects);
  [[nodiscard]] std::optional<Error> hear(const NodeClosed& message, TimePoint now, Effects& effects);
  [[nodiscard]] std::optional<Error> hear(const NodeAnswered& message, TimePoint now, Effects& effects);
  [[nodiscard]] std::optional<Error> hear(const NodeLeaves& message, TimePoint now, Effects& effects);
  [[nodiscard]] std::optional<Error> hear(const NodeHandleArrived&, TimePoint now, Effects& effects);
  [[nodiscard]] std::optional<Error> hear(const NodeHandleMissing&, TimePoint now, Effects& effects);
  [[nodiscard]] std::optional<Error> hear(const NodeHandleOffered&, TimePoint now, Effects& effects);
  [[nodiscard]] std::optional<Error> hear(const NodeBunWorker&, TimePoint now, Effects& effects);
  [[nodiscard]] std::optional<Error> hear(const NodeOther&, TimePoint now, Effects& effects);
  [[nodiscard]] std::optional<Error> hear(const NodeStarted&, TimePoint now, Effects& effects);
  [[nodiscard]] std::optional<Error> hear(const NodeServerCloses& message, TimePoint now, Effects& effects);
  [[nodiscard]] std::optional<Error> hear(const NodeClientSession& message, TimePoint now, Effects& effects);
  [[nodiscard]] std::optional<Error> hear(const NodeAdapterMessage& message, TimePoint now, Effects& effects);
  [[nodiscard]] std::optional<Error> hear(const NodeText& message, TimePoint now, Effects& effects);

  [[nodiscard]] const Server* open_server(ListenerId listener) const;
  [[nodiscard]] bool has_open_server() const;
  [[nodiscard]] std::deque<InFlight>::iterator next_to_arrive();
  void settle_if_answered(std::deque<InFlight>::iterator connection, TimePoint now, Effects& effects);
  void on_missing_while_unsure(TimePoint now);
  void on_full(TimePoint now);
  void leave(std::string why, Effects& effects);
  void become_ready(Effects& effects);

  Policy policy_;
  Phase phase_ = Phase::Open;
  bool online_ = false;
  bool ready_ = false;
  bool disconnects_ = false;  // by itself: told so again, its Node would end with an error
  bool stopped_accepting_ = false;
  bool listens_ = false;  // it was granted a server, once at least
  NodeSigns signs_;
  std::vector<Server> servers_;  // granted or open
  std::vector<ListenerId> claimed_;
  unsigned granted_ = 0;  // ever; their keys are numbers
  std::deque<InFlight> in_flight_;
  unsigned window_;  // how many may be on the way: most_in_flight, or fewer after it was full
  TimePoint full_until_{};
  TimePoint last_heard_{};
  std::int64_t next_number_ = 0;
  std::optional<Unsure> unsure_;
};

}  // namespace holdfast
