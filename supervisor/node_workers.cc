#include "node_workers.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "node_program.h"
#include "sys/machine.h"
#include "wire/node_codec.h"

namespace holdfast {

namespace {

// Of a message that is written to the log.
constexpr std::size_t kLoggedMessage = 1000;
// Of one worker's servers: a program may try again and again.
constexpr std::size_t kRefusalsTold = 8;
constexpr Duration kComplaintInterval = std::chrono::seconds(10);

NodeSession::Policy session_policy(const NodeConfig& config) {
  NodeSession::Policy policy;
  policy.dialect = config.dialect;
  if (config.ready == NodeConfig::Ready::Message) policy.readiness = NodeSession::Readiness::Message;
  policy.say_shutdown = config.farewell == NodeConfig::Farewell::Message;
  return policy;
}

// Whether a decision depends on how many connections are open. Counting them costs some microseconds for each.
bool depends_on_open(const PoolConfig& pool) {
  const bool by_load = pool.placement == Placement::LeastConnections || pool.placement == Placement::RandomTwo;
  return pool.bounds_connections() || by_load || pool.balance_factor != 0;
}

}  // namespace

NodeWorkers::NodeWorkers(Loop& loop, const PoolConfig& pool, Hooks hooks)
    : loop_(loop), pool_(pool), hooks_(std::move(hooks)), serialization_(pool.node.serialization) {}

// The hooks may be called after the worker has been forgotten: by `settle`, when the next is about to be started.
NodeInbox::Hooks NodeWorkers::hooks_of_inbox() {
  NodeInbox::Hooks hooks;
  const auto of_worker = [this](auto act) {
    return [this, act](NodeInbox& inbox, const auto&... facts) {
      if (const WorkerId worker = worker_of(inbox); inboxes_.contains(worker)) act(worker, facts...);
    };
  };
  hooks.on_query = [this](NodeInbox& inbox, const NodeQuery& query) { return answer(worker_of(inbox), query); };
  hooks.on_ready = of_worker([this](WorkerId worker) { hooks_.on_ready(worker); });
  hooks.on_accepting = of_worker([this](WorkerId worker, bool accepts) { hooks_.on_accepting(worker, accepts); });
  hooks.on_leaves = of_worker([this](WorkerId worker, const std::string& why) { hooks_.on_leaves(worker, why); });
  hooks.on_came_back = of_worker([this](WorkerId worker) { hooks_.on_came_back(worker); });
  hooks.on_heard = of_worker([this](WorkerId worker, const NodeSession::Heard& heard) { on_heard(worker, heard); });
  hooks.on_garbage = [this](NodeInbox& inbox, const Error& error) { hooks_.on_garbage(inbox, error); };
  hooks.on_room = [this] { hooks_.on_room(); };
  hooks.on_taken_up = of_worker([this](WorkerId worker, BorrowedFd connection) { on_taken_up(worker, connection); });
  hooks.on_recount = [this] { recount_open(); };
  hooks.stand_in = [this](const NodeInbox& inbox, ListenerId listener, const std::vector<ListenerId>& servers) {
    const bool is_known = knows_servers_ || inbox.is_told();
    const auto stands = is_known ? NodeServers::Stands::AlsoTheOnlyOne : NodeServers::Stands::OfTheSameName;
    return servers_.stand_in(listener, servers, stands);
  };
  hooks.on_strays = [this](NodeInbox&) { hooks_.on_strays(); };
  hooks.before_acting = hooks_.before_acting;
  return hooks;
}

std::unique_ptr<NodeInbox> NodeWorkers::make_inbox() {
  return std::make_unique<NodeInbox>(loop_, session_policy(pool_.node), pool_.node.serialization, hooks_of_inbox());
}

std::unique_ptr<NodeInbox> NodeWorkers::adopt_inbox(const SavedNodeInbox& saved, FdTable& fds) {
  return NodeInbox::adopt(loop_, session_policy(pool_.node), pool_.node.serialization, hooks_of_inbox(), saved, fds);
}

void NodeWorkers::adopt_worker(WorkerId worker, NodeInbox& inbox) {
  inboxes_[worker] = &inbox;
  recall_open(worker, inbox);
  if (inbox.is_leaving()) hooks_.on_leaves(worker, "it disconnected by itself");
}

SavedNodeWorkers NodeWorkers::save(SavedFor what) const {
  const bool all = what == SavedFor::Upgrade;
  SavedNodeWorkers saved{found_, servers_.save(), relay_.adapters(), {}, {}};
  if (all) {
    saved.sessions.insert(sessions_.workers().begin(), sessions_.workers().end());
  } else {
    saved.newest_sessions = sessions_.newest();
  }
  if (!census_) return saved;
  for (const Census::Connection& connection : census_->some(all ? Census::kMostSaved : Census::kMostKept))
    saved.open[std::to_string(connection.group)].push_back(to_text(connection.ends));
  return saved;
}

void NodeWorkers::adopt(const SavedNodeWorkers& saved) {
  open_before_ = saved.open;
  found_ = saved.found;
  servers_.set_listeners(hooks_.listeners());
  servers_.adopt(saved.servers);
  knows_servers_ = !saved.servers.taken.empty();
  relay_.adopt(saved.adapters);
  sessions_.adopt(NodeClientSessions::Workers(saved.sessions.begin(), saved.sessions.end()));
  sessions_.adopt(saved.newest_sessions);
}

Result<UniqueFd> NodeWorkers::begin(WorkerId worker, NodeInbox& inbox) {
  if (std::exchange(serialization_, pool_.node.serialization) != pool_.node.serialization) servers_.forget_data();
  inbox.set_ways(session_policy(pool_.node), pool_.node.serialization);
  Result<UniqueFd> end = inbox.open_channel();
  if (!end) return end;
  inboxes_[worker] = &inbox;
  program_.reset();                                      // it may be another one than the last that was started
  if (!needs_server(found_)) (void)inbox.adopt(found_);  // refused where a dialect was wished
  return end;
}

NodeDialect NodeWorkers::dialect() const {
  return pool_.node.dialect == NodeDialect::Auto ? found_ : pool_.node.dialect;
}

bool NodeWorkers::on_grace_over(WorkerId worker) {
  const auto found = inboxes_.find(worker);
  if (found == inboxes_.end()) return false;
  NodeInbox& inbox = *found->second;
  if (dialect() == NodeDialect::Auto) guess_dialect(worker, inbox);
  if (!needs_server(found_)) (void)inbox.adopt(found_);  // refused where it has called listen()
  return inbox.takes_by_message();
}

void NodeWorkers::guess_dialect(WorkerId worker, const NodeInbox& inbox) {
  if (!program_) program_ = read_node_program(pool_.command, pool_.working_directory);
  const std::optional<NodeGuess> guess = guess_node_dialect(*program_, inbox.signs());
  if (!guess) return;
  found_ = guess->dialect;
  spdlog::info(
      "{}: it has not called listen(), and {}: it is taken for a worker of the dialect {} (--node-dialect {} says so "
      "at "
      "once; any other if that is wrong)",
      hooks_.label(worker), guess->why, words_of(found_).name, words_of(found_).name);
}

// No worker tells when it closes a connection, so the kernel is asked.
void NodeWorkers::recall_open(WorkerId worker, NodeInbox& inbox) {
  const auto open = open_before_.extract(std::to_string(worker.value));
  if (open.empty() || !depends_on_open(pool_)) return;
  if (!census_) begin_to_count();
  if (!census_) return;
  for (const std::string& text : open.mapped()) {
    const std::optional<ConnectionEnds> ends = parse_ends(text);
    if (!ends) continue;
    census_->recall({*ends, worker.value, 0});
    inbox.count_open();
  }
}

void NodeWorkers::on_taken_up(WorkerId worker, BorrowedFd connection) {
  if (cannot_count_ || !depends_on_open(pool_)) return;
  if (!census_) begin_to_count();
  if (census_ && census_->add(connection, worker.value, 0)) inboxes_.at(worker)->count_open();
}

void NodeWorkers::begin_to_count() {
  const auto on_closed = [this](const Census::Connection& closed) {
    const auto inbox = inboxes_.find(WorkerId{static_cast<std::uint32_t>(closed.group)});
    if (inbox != inboxes_.end()) inbox->second->count_closed();
  };
  const Result<HashKey> key = random_hash_key();
  Result<std::unique_ptr<Census>> census = key ? Census::create(*key, on_closed) : key.error();
  if (census) {
    census_ = *std::move(census);
    return;
  }
  cannot_count_ = true;
  spdlog::error("pool {}: {}; its limits and loads go by the connections that wait, not by those that are open",
                pool_.name, census.error().message());
}

void NodeWorkers::recount_open() {
  if (census_) census_->recount_all(loop_.now());
}

void NodeWorkers::on_granted(WorkerId worker) {
  if (pool_.node.dialect != NodeDialect::Auto || found_ == NodeDialect::Cluster) return;
  if (!needs_server(found_)) {
    spdlog::warn(
        "{}: it was taken for a worker of the dialect {}, and calls listen() all the same: from now on these workers "
        "are "
        "of the dialect cluster. What they were sent before may be lost: write --node-dialect cluster",
        hooks_.label(worker), words_of(found_).name);
  }
  found_ = NodeDialect::Cluster;
}

void NodeWorkers::on_ready(WorkerId worker) {
  if (const auto inbox = inboxes_.find(worker); inbox != inboxes_.end()) inbox->second->consider_ready();
}

void NodeWorkers::on_told(WorkerId worker) {
  const auto found = inboxes_.find(worker);
  if (found == inboxes_.end() || found->second->is_told()) return;
  NodeInbox& inbox = *found->second;
  servers_.set_listeners(hooks_.listeners());
  inbox.consider_told();
  hooks_.on_strays();
  if (!inbox.serves()) return;
  knows_servers_ = true;
  for (std::uint32_t i = 0; i < servers_.listeners().size(); i++) {
    const NodeServers::Offered& listener = servers_.listeners()[i];
    if (listener.fate == NodeServers::Offered::Fate::Leaves || !inbox.serves(ListenerId{i})) continue;
    if (inbox.has_server(ListenerId{i}) || !stood_in_for_.insert(ListenerId{i}).second) continue;
    spdlog::info("pool {}: listener {} ({}) has no server of its own: {}, the only one, serves its clients", pool_.name,
                 listener.name, to_text(listener.address), servers_.servers_listed());
  }
}

std::vector<Connection> NodeWorkers::take_strays(NodeInbox& inbox) {
  std::vector<Connection> taken;
  for (const auto& [listener, count] : inbox.strays()) {
    const bool hopeless = !may_be_served(listener);
    if (hopeless) report_unserved(listener);
    std::vector<Connection> some = inbox.take_strays(listener, hopeless ? 0 : pool_.queue_limit);
    std::move(some.begin(), some.end(), std::back_inserter(taken));
  }
  return taken;
}

bool NodeWorkers::may_be_served(ListenerId listener) const {
  return std::any_of(inboxes_.begin(), inboxes_.end(), [&](const auto& entry) {
    const NodeInbox& inbox = *entry.second;
    return inbox.serves() && (!inbox.is_told() || inbox.serves(listener));
  });
}

void NodeWorkers::report_unserved(ListenerId listener) {
  if (!unserved_.insert(listener).second) return;
  servers_.set_listeners(hooks_.listeners());
  const NodeServers::Offered& unserved = servers_.listeners()[listener.value];
  spdlog::error(
      "pool {}: no server of the program is open for listener {} ({}): its clients are refused until one is. The "
      "program's servers: {}. Have it listen there too, or take the listener away",
      pool_.name, unserved.name, to_text(unserved.address), servers_.servers_listed());
}

void NodeWorkers::forget_servers() {
  knows_servers_ = false;
  unserved_.clear();
  stood_in_for_.clear();
  servers_.forget_servers();
  found_ = NodeDialect::Auto;
}

void NodeWorkers::on_gone(WorkerId worker) {
  inboxes_.erase(worker);
  refused_.erase(worker);
  hooks_.on_strays();
  sessions_.on_gone(worker);
  for (const NodeAdapterGone& gone : relay_.on_gone(worker)) {
    for (const auto& [other, inbox] : inboxes_) tell(other, gone);
  }
}

std::optional<WorkerId> NodeWorkers::worker_with(const std::string& session) {
  if (const std::optional<WorkerId> known = sessions_.worker_of(session)) return known;
  if (std::exchange(heard_all_at_, loop_.now()) == loop_.now()) return std::nullopt;  // once in a turn
  const std::map<WorkerId, NodeInbox*> inboxes = inboxes_;                            // a hook may change them
  for (const auto& [worker, inbox] : inboxes) inbox->catch_up();
  return sessions_.worker_of(session);
}

// One that is of nobody: a worker that never was.
WorkerId NodeWorkers::worker_of(const NodeInbox& inbox) const {
  const auto is_meant = [&](const auto& entry) { return entry.second == &inbox; };
  const auto found = std::find_if(inboxes_.begin(), inboxes_.end(), is_meant);
  return found == inboxes_.end() ? WorkerId{UINT32_MAX} : found->first;
}

NodeServers::Answer NodeWorkers::answer(WorkerId worker, const NodeQuery& query) {
  servers_.set_listeners(hooks_.listeners());
  NodeServers::Answer answer = servers_.answer(query.server, query.data);
  if (const auto* refused = std::get_if<NodeServers::Refused>(&answer)) {
    std::set<std::string>& told = refused_[worker];
    if (told.size() < kRefusalsTold && told.insert(refused->why).second)
      spdlog::error("{}: {}", hooks_.label(worker), refused->why);
  } else {
    on_granted(worker);
  }
  return answer;
}

void NodeWorkers::on_heard(WorkerId from, const NodeSession::Heard& heard) {
  if (const auto* text = std::get_if<NodeText>(&heard.message)) return on_text(from, text->payload);
  if (const auto* session = std::get_if<NodeClientSession>(&heard.message)) {
    sessions_.on_session(from, *session);
    if (session->open) hooks_.on_session(session->id);
    return;
  }
  const auto& message = std::get<NodeAdapterMessage>(heard.message);
  std::vector<WorkerId> others;
  for (const auto& [worker, inbox] : inboxes_) others.push_back(worker);
  for (const WorkerId target : relay_.route(from, message, others)) tell(target, NodeSay{message.payload});
}

void NodeWorkers::on_text(WorkerId from, const std::string& payload) {
  switch (pool_.node.messages) {
    case NodeConfig::Messages::Log:
      spdlog::info("{}: process.send: {}", hooks_.label(from),
                   readable_node_text(payload, pool_.node.serialization, kLoggedMessage));
      break;
    case NodeConfig::Messages::Relay:
      for (const auto& [worker, inbox] : inboxes_) {
        if (worker != from) tell(worker, NodeSay{payload});
      }
      break;
    case NodeConfig::Messages::Drop:
      break;
  }
}

void NodeWorkers::tell(WorkerId worker, const NodeOrder& order) {
  if (inboxes_.at(worker)->say(order)) return;
  dropped_++;
  if (loop_.now() < next_complaint_) return;
  next_complaint_ = loop_.now() + kComplaintInterval;
  spdlog::warn("{}: a message for it was dropped: it does not read its channel ({} were dropped in the pool so far)",
               hooks_.label(worker), dropped_);
}

}  // namespace holdfast
