#include "core/node_session.h"

#include <algorithm>
#include <cerrno>
#include <utility>

namespace holdfast {

namespace {

// More than can have been said since a state was saved; a double is exact for two million sudden ends of it.
constexpr std::int64_t kMoreThanWasSaid = std::int64_t{1} << 32;
constexpr unsigned kMoreThanWasGranted = 1U << 16U;
// Of no server: those begin at 1.
constexpr const char* kKeyOfNone = "holdfast:0";

Error broke(std::string what) { return Error{{}, std::move(what)}; }

}  // namespace

NodeSession::NodeSession(Policy policy) : policy_(std::move(policy)), window_(policy_.most_in_flight) {
  if (policy_.connection_message.empty()) policy_.connection_message = words_of(policy_.dialect).connection;
}

NodeSession::NodeSession(Policy policy, Saved saved)
    : policy_(std::move(policy)),
      phase_(saved.phase),
      online_(saved.online),
      ready_(saved.ready),
      disconnects_(saved.disconnects),
      stopped_accepting_(saved.stopped_accepting),
      listens_(saved.listens),
      signs_(saved.signs),
      servers_(std::move(saved.servers)),
      granted_(saved.granted),
      in_flight_(std::move(saved.in_flight)),
      window_(std::clamp(saved.window, 1U, policy_.most_in_flight)),
      full_until_(saved.full_until),
      last_heard_(saved.last_heard),
      next_number_(saved.next_number),
      unsure_(saved.unsure) {
  policy_.connection_message = std::move(saved.connection_message);
  for (const Server& server : servers_) claimed_.push_back(server.listener);
}

NodeSession::Saved NodeSession::save() const {
  return {.connection_message = policy_.connection_message,
          .phase = phase_,
          .online = online_,
          .ready = ready_,
          .disconnects = disconnects_,
          .stopped_accepting = stopped_accepting_,
          .listens = listens_,
          .signs = signs_,
          .servers = servers_,
          .granted = granted_,
          .in_flight = in_flight_,
          .window = window_,
          .full_until = full_until_,
          .last_heard = last_heard_,
          .next_number = next_number_,
          .unsure = unsure_};
}

NodeSession::Saved NodeSession::recovered(Saved saved) {
  saved.in_flight.clear();
  saved.next_number += kMoreThanWasSaid;
  saved.granted += kMoreThanWasGranted;
  saved.unsure = Unsure{};
  return saved;
}

Result<NodeSession::Effects> NodeSession::on_message(const NodeMessage& message, TimePoint now) {
  last_heard_ = now;
  Effects effects;
  std::optional<Error> error = std::visit([&](const auto& m) { return hear(m, now, effects); }, message);
  if (error) return *std::move(error);
  return effects;
}

NodeSession::Effects NodeSession::answer(const NodeQuery& query, const NodeServers::Answer& answer) {
  const auto asked_before = [&](const Server& server) { return server.asked == query.number; };
  if (const auto known = std::find_if(servers_.begin(), servers_.end(), asked_before); known != servers_.end()) {
    const auto* again = std::get_if<NodeServers::Granted>(&answer);
    if (again == nullptr || again->listener != known->listener) return {};
    return Effects{Send{NodeGranted{query.number, next_number_++, known->key, again->bound, again->data}}};
  }
  const std::string key = "holdfast:" + std::to_string(++granted_);
  const auto refuse = [&](int error) { return Effects{Send{NodeRefused{query.number, next_number_++, key, error}}}; };
  if (const auto* refused = std::get_if<NodeServers::Refused>(&answer)) return refuse(refused->error);
  const auto& granted = std::get<NodeServers::Granted>(answer);
  // Two servers of one worker on the same listener would share its connections by chance: bind(2) refuses that too.
  const auto same = [&](const Server& server) { return server.listener == granted.listener; };
  if (std::any_of(servers_.begin(), servers_.end(), same)) return refuse(EADDRINUSE);
  listens_ = true;
  if (policy_.dialect == NodeDialect::Auto) policy_.connection_message.clear();
  const std::uint16_t port = granted.bound ? granted.bound->port : std::uint16_t{0};
  servers_.push_back(Server{key, query.server, port, granted.listener, false, query.number});
  if (std::count(claimed_.begin(), claimed_.end(), granted.listener) == 0) claimed_.push_back(granted.listener);
  return Effects{Send{NodeGranted{query.number, next_number_++, key, granted.bound, granted.data}}};
}

NodeSession::Effects NodeSession::on_end() {
  Effects effects;
  if (phase_ == Phase::Ended) return effects;
  leave("it closed its channel", effects);
  phase_ = Phase::Ended;
  for (const InFlight& connection : in_flight_) effects.push_back(CameBack{connection.connection});
  in_flight_.clear();
  return effects;
}

NodeSession::Effects NodeSession::ask_again() const {
  Effects effects;
  for (const Server& server : servers_) {
    if (server.asked) effects.push_back(Asked{NodeQuery{*server.asked, server.described}});
  }
  return effects;
}

NodeSession::Effects NodeSession::dismiss(std::string why) {
  Effects effects;
  leave(std::move(why), effects);
  return effects;
}

NodeSession::Effects NodeSession::drain() {
  Effects effects;
  if (phase_ == Phase::Draining || phase_ == Phase::Ended) return effects;
  phase_ = Phase::Draining;
  if (disconnects_) return effects;
  if (policy_.say_shutdown) effects.push_back(Send{NodeShutdown{}});
  if (is_cluster_worker(policy_.dialect)) {
    effects.push_back(Send{NodeDisconnect{next_number_++}});
  } else {
    effects.push_back(Finish{});  // its 'disconnect' event, after which nothing but its connections keeps it alive
  }
  return effects;
}

bool NodeSession::adopt(NodeDialect found) {
  if (policy_.dialect != NodeDialect::Auto || listens_) return false;
  policy_.connection_message = words_of(found).connection;
  return true;
}

bool NodeSession::takes(ListenerId listener, TimePoint now) const {
  if (phase_ != Phase::Open || now < full_until_) return false;
  return by_newconn() ? open_server(listener) != nullptr : ready_;
}

bool NodeSession::may_send(ListenerId listener, TimePoint now) const {
  return !unsure_ && in_flight_.size() < window_ && takes(listener, now);
}

bool NodeSession::may_ask(TimePoint now) const {
  if (!unsure_ || unsure_->asked || phase_ != Phase::Open || now < full_until_) return false;
  return by_newconn() ? has_open_server() : ready_;
}

NodeSession::Question NodeSession::question() const {
  if (is_cluster_worker(policy_.dialect)) return {NodeNewConnection{next_number_, kKeyOfNone}, true};
  return {NodeConnectionMessage{policy_.connection_message}, false};
}

void NodeSession::on_question_sent(TimePoint now) { unsure_ = Unsure{next_number_++, now}; }

NodeOrder NodeSession::connection_order(ListenerId listener) const {
  if (!by_newconn()) return NodeConnectionMessage{policy_.connection_message};
  return NodeNewConnection{next_number_, open_server(listener)->key};
}

void NodeSession::on_sent(std::uint64_t connection, ListenerId, TimePoint now) {
  const std::optional<std::int64_t> number = by_newconn() ? std::optional(next_number_++) : std::nullopt;
  in_flight_.push_back(InFlight{connection, number, now, false, std::nullopt});
}

TimePoint NodeSession::next_deadline(TimePoint now) const {
  return phase_ == Phase::Open && now < full_until_ ? full_until_ : kNever;
}

TimePoint NodeSession::heartbeat(TimePoint now, std::optional<TimePoint> unread_since) const {
  const bool asked = unsure_ && unsure_->asked;
  const TimePoint unanswered_since = asked ? unsure_->asked_at : in_flight_.empty() ? now : in_flight_.front().sent_at;
  return std::max(last_heard_, std::min(unanswered_since, unread_since.value_or(now)));
}

std::string NodeSession::why_not_ready() const {
  if (policy_.readiness == Readiness::Message) return "it has not sent 'ready' (process.send('ready'))";
  if (!is_cluster_worker(policy_.dialect)) return "it has not sent 'ready'";
  if (!online_) return "it never spoke on its channel: is it Node.js, and has it not started another Node.js instead?";
  if (!servers_.empty()) return "it was told that it may listen and has not opened its server";
  return "it never called listen(); a server with {exclusive: true} or {reusePort: true} binds by itself and passes "
         "Holdfast by, and a worker of sticky-session or @socket.io/sticky needs its dialect (--node-dialect)";
}

std::optional<Error> NodeSession::hear(const NodeOnline&, TimePoint, Effects&) {
  online_ = true;
  return std::nullopt;
}

std::optional<Error> NodeSession::hear(const NodeQuery& query, TimePoint, Effects& effects) {
  effects.push_back(Asked{query});
  return std::nullopt;
}

std::optional<Error> NodeSession::hear(const NodeListening& message, TimePoint, Effects& effects) {
  const auto is_meant = [&](const Server& server) {
    NodeServer described = server.described;
    if (message.server == described) return true;
    described.port = server.told_port;
    return message.server == described;
  };
  const auto server = std::find_if(servers_.begin(), servers_.end(), is_meant);
  // Closed again before it could say so.
  if (server == servers_.end() && granted_ > 0) return std::nullopt;
  if (server == servers_.end()) return broke("listened without asking: " + to_text(message.server));
  server->open = true;
  server->asked.reset();
  if (std::exchange(stopped_accepting_, false)) effects.push_back(AcceptsAgain{});
  if (policy_.readiness == Readiness::Listening) become_ready(effects);
  return std::nullopt;
}

std::optional<Error> NodeSession::hear(const NodeClosed& message, TimePoint, Effects& effects) {
  const bool had_one = has_open_server();
  std::erase_if(servers_, [&](const Server& server) { return server.key == message.key; });
  if (had_one && !has_open_server() && phase_ == Phase::Open && by_newconn()) {
    stopped_accepting_ = true;
    effects.push_back(StopsAccepting{});
  }
  return std::nullopt;
}

std::optional<Error> NodeSession::hear(const NodeAnswered& message, TimePoint now, Effects& effects) {
  if (unsure_) {
    if (unsure_->asked == message.number) unsure_.reset();
    return std::nullopt;
  }
  const auto is_meant = [&](const InFlight& c) { return c.number == message.number; };
  const auto connection = std::find_if(in_flight_.begin(), in_flight_.end(), is_meant);
  if (connection == in_flight_.end() || connection->accepted) {
    return broke("answered for a connection that is not on its way to it");
  }
  connection->accepted = message.accepted;
  settle_if_answered(connection, now, effects);
  return std::nullopt;
}

std::optional<Error> NodeSession::hear(const NodeLeaves& message, TimePoint, Effects& effects) {
  disconnects_ = true;
  effects.push_back(Send{NodeMayLeave{message.number, next_number_++}});
  leave("it disconnects (cluster.worker.disconnect() or kill())", effects);
  return std::nullopt;
}

std::optional<Error> NodeSession::hear(const NodeHandleArrived&, TimePoint now, Effects& effects) {
  if (unsure_) return std::nullopt;
  const auto connection = next_to_arrive();
  if (connection == in_flight_.end()) return broke("acknowledged a connection that was not sent to it");
  connection->arrived = true;
  if (!connection->number) connection->accepted = true;
  settle_if_answered(connection, now, effects);
  return std::nullopt;
}

std::optional<Error> NodeSession::hear(const NodeHandleMissing&, TimePoint now, Effects& effects) {
  if (unsure_) {
    on_missing_while_unsure(now);
    return std::nullopt;
  }
  const auto connection = next_to_arrive();
  if (connection == in_flight_.end()) return broke("missed a connection that was not sent to it");
  effects.push_back(CameBack{connection->connection});
  in_flight_.erase(connection);
  on_full(now);
  return std::nullopt;
}

std::optional<Error> NodeSession::hear(const NodeHandleOffered&, TimePoint, Effects& effects) {
  effects.push_back(Send{NodeHandleTaken{}});
  return std::nullopt;
}

std::optional<Error> NodeSession::hear(const NodeBunWorker&, TimePoint, Effects&) {
  return broke(
      "speaks Bun's own cluster protocol, in which a worker binds its port itself: run it with Node.js or Deno, or "
      "without `cluster` and with the dialect plain");
}

std::optional<Error> NodeSession::hear(const NodeOther&, TimePoint, Effects&) { return std::nullopt; }

std::optional<Error> NodeSession::hear(const NodeStarted&, TimePoint, Effects& effects) {
  signs_.said_ready = true;
  if (policy_.readiness == Readiness::Message || !by_newconn()) become_ready(effects);
  return std::nullopt;
}

std::optional<Error> NodeSession::hear(const NodeServerCloses& message, TimePoint, Effects& effects) {
  if (policy_.dialect == NodeDialect::StickySession) {
    leave("it closes its server", effects);
  } else {
    effects.push_back(Heard{NodeText{message.payload}});
  }
  return std::nullopt;
}

std::optional<Error> NodeSession::hear(const NodeClientSession& message, TimePoint, Effects& effects) {
  effects.push_back(Heard{message});
  return std::nullopt;
}

std::optional<Error> NodeSession::hear(const NodeAdapterMessage& message, TimePoint, Effects& effects) {
  signs_.adapter_spoke = true;
  effects.push_back(Heard{message});
  return std::nullopt;
}

std::optional<Error> NodeSession::hear(const NodeText& message, TimePoint, Effects& effects) {
  effects.push_back(Heard{message});
  return std::nullopt;
}

const NodeSession::Server* NodeSession::open_server(ListenerId listener) const {
  const auto is_meant = [&](const Server& server) { return server.open && server.listener == listener; };
  const auto server = std::find_if(servers_.begin(), servers_.end(), is_meant);
  return server == servers_.end() ? nullptr : &*server;
}

bool NodeSession::has_open_server() const {
  return std::any_of(servers_.begin(), servers_.end(), [](const Server& server) { return server.open; });
}

// Descriptors are acknowledged in the order in which they were sent.
std::deque<NodeSession::InFlight>::iterator NodeSession::next_to_arrive() {
  return std::find_if(in_flight_.begin(), in_flight_.end(), [](const InFlight& c) { return !c.arrived; });
}

void NodeSession::settle_if_answered(std::deque<InFlight>::iterator connection, TimePoint now, Effects& effects) {
  if (!connection->arrived || !connection->accepted) return;
  if (*connection->accepted) {
    effects.push_back(TakenUp{connection->connection});
    window_ = std::min(window_ * 2, policy_.most_in_flight);
  } else {
    effects.push_back(CameBack{connection->connection});
    on_full(now);
  }
  in_flight_.erase(connection);
}

// Of a worker of `cluster`: it was the question's, perhaps, and then that has no answer. The next one has another
// number.
void NodeSession::on_missing_while_unsure(TimePoint now) {
  if (!unsure_->asked) return;
  if (!is_cluster_worker(policy_.dialect)) return unsure_.reset();
  unsure_->asked.reset();
  on_full(now);
}

void NodeSession::on_full(TimePoint now) {
  window_ = 1;
  full_until_ = now + policy_.full_pause;
}

void NodeSession::leave(std::string why, Effects& effects) {
  if (phase_ != Phase::Open) return;
  phase_ = Phase::Leaving;
  effects.push_back(Leaves{std::move(why)});
}

void NodeSession::become_ready(Effects& effects) {
  if (!std::exchange(ready_, true)) effects.push_back(IsReady{});
}

}  // namespace holdfast
