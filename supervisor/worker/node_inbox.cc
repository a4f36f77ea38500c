#include "worker/node_inbox.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

#include "sys/fd_passing.h"
#include "sys/stream.h"
#include "wire/node_codec.h"
#include "worker/node_channel.h"

namespace holdfast {

namespace {

// What may wait for a worker that does not read: its hang is noticed before long.
constexpr std::size_t kMostUnread = 4 * kLongestNodeMessage;
// Answers: a worker has a few servers, and Node.js waits for the answer to one descriptor before it sends the next.
constexpr std::size_t kMostUnreadAnswers = 16384;
// As much as Node.js writes at once. A read ends at each descriptor, and a worker sends us none worth mentioning.
constexpr std::size_t kReadSize = 64 * 1024;
// Reads in one turn: a worker that floods its channel does not stop the others.
constexpr int kReadsPerTurn = 16;
// More than a channel holds.
constexpr int kMostReadsOfOne = 1024;

// Whether it changes what the worker has, or is about to have.
bool tells_of_servers(const NodeMessage& message) {
  return std::holds_alternative<NodeQuery>(message) || std::holds_alternative<NodeListening>(message) ||
         std::holds_alternative<NodeClosed>(message) || std::holds_alternative<NodeLeaves>(message);
}

bool is_answer(const NodeMessage& message) {
  return std::holds_alternative<NodeHandleArrived>(message) || std::holds_alternative<NodeHandleMissing>(message) ||
         std::holds_alternative<NodeAnswered>(message);
}

}  // namespace

NodeInbox::NodeInbox(Loop& loop, NodeSession::Policy policy, NodeSerialization serialization, Hooks hooks)
    : loop_(loop),
      policy_(std::move(policy)),
      serialization_(serialization),
      hooks_(std::move(hooks)),
      timer_(loop, [this] { on_due(); }) {}

NodeInbox::~NodeInbox() = default;

void NodeInbox::set_ways(NodeSession::Policy policy, NodeSerialization serialization) {
  settle();
  policy_ = std::move(policy);
  serialization_ = serialization;
}

Result<UniqueFd> NodeInbox::open_channel() {
  settle();
  Result<ChannelPair> ends = make_stream_channel();
  if (!ends) return std::move(ends).error();
  channel_ =
      std::make_shared<Channel>(loop_, std::move(ends->supervisor_end), NodeSession(policy_), serialization_,
                                [this](FdWatcher::Ready ready) { on_channel_ready(ready.readable, ready.writable); });
  watch();
  return std::move(ends->worker_end);
}

void NodeInbox::catch_up() {
  if (channel_ && !channel_->ended) read(Hear::AllThatThereIs);
}

void NodeInbox::consider_ready() {
  if (!channel_) return;
  channel_->session.on_ready();
  write();
}

std::string NodeInbox::why_not_ready() const { return channel_ ? channel_->session.why_not_ready() : std::string(); }

void NodeInbox::consider_told() {
  if (!channel_) return;
  channel_->told = true;
  write();
}

bool NodeInbox::is_told() const { return channel_ && channel_->told; }

bool NodeInbox::serves() const { return channel_ && channel_->session.serves(); }

bool NodeInbox::serves(ListenerId listener) const {
  return channel_ &&
         (channel_->session.by_newconn() ? channel_->session.serves(way_of(listener)) : channel_->session.is_open());
}

bool NodeInbox::has_server(ListenerId listener) const { return channel_ && channel_->session.serves(listener); }

bool NodeInbox::has_stopped_accepting() const { return channel_ && channel_->session.has_stopped_accepting(); }

std::map<ListenerId, std::size_t> NodeInbox::strays() const {
  std::map<ListenerId, std::size_t> strays;
  if (!serves()) return strays;
  for (const auto& [listener, queue] : unsent_) {
    if (!queue.empty() && !serves(ListenerId{listener})) strays.emplace(ListenerId{listener}, queue.size());
  }
  return strays;
}

std::vector<Connection> NodeInbox::take_strays(ListenerId listener, std::size_t kept) {
  std::deque<Connection>& queue = unsent_[static_cast<std::uint16_t>(listener.value)];
  std::vector<Connection> taken;
  for (; queue.size() > kept; queue.pop_back()) taken.push_back(std::move(queue.back()));
  return taken;
}

bool NodeInbox::adopt(NodeDialect found) {
  if (!channel_ || !channel_->session.adopt(found)) return false;
  write();
  return true;
}

bool NodeInbox::takes_by_message() const { return channel_ && !channel_->session.by_newconn(); }

NodeSigns NodeInbox::signs() const { return channel_ ? channel_->session.signs() : NodeSigns{}; }

bool NodeInbox::say(const NodeOrder& order) {
  if (!channel_ || channel_->ended || channel_->distrusted || channel_->unread_bytes > kMostUnread) return false;
  append(order, Asked::No);
  write();
  return true;
}

void NodeInbox::put(Connection connection) { unsent_[connection.record.listener].push_back(std::move(connection)); }

std::vector<UniqueFd> NodeInbox::flush() {
  // By the timer, which is next, and not here: what is heard may be for those who are calling us.
  if (channel_ && loop_.now() >= channel_->answers_from) channel_->answers_at = TimePoint{};
  write();
  return {};
}

bool NodeInbox::unsent() const {
  return std::any_of(unsent_.begin(), unsent_.end(), [](const auto& queue) { return !queue.second.empty(); });
}

void NodeInbox::drain(const DrainOrder& order) {
  unsent_drain_ = order.deadline;
  write();
}

void NodeInbox::want_room(bool wanted) {
  room_wanted_ = wanted;
  watch();
}

ConnectionSink::Account NodeInbox::account() const {
  std::uint64_t waiting = in_flight_.size() + came_back_.size();
  for (const auto& [listener, queue] : unsent_) waiting += queue.size();
  std::uint64_t stray = 0;
  for (const auto& [listener, count] : strays()) stray += count;
  return Account{.waiting = waiting, .taken = taken_, .accepted = 0, .open = open_, .lost = 0, .stray = stray};
}

TimePoint NodeInbox::heartbeat(TimePoint now) const {
  return channel_ ? channel_->session.heartbeat(now, channel_->unread_since) : now;
}

void NodeInbox::settle() {
  if (!channel_ || settling_) return;
  settling_ = true;
  channel_->ended = true;
  read(Hear::AllThatThereIs);
  perform_all(channel_->session.on_end());
  finish_turn();
  close_channel();
  open_ = 0;
  unsent_drain_.reset();  // it was for the one that has ended
  settling_ = false;
}

std::vector<Connection> NodeInbox::take_back_some() {
  std::vector<Connection> connections;
  for (auto& [listener, queue] : unsent_) std::move(queue.begin(), queue.end(), std::back_inserter(connections));
  unsent_.clear();
  return connections;
}

void NodeInbox::on_due() {
  if (channel_ && channel_->blocked == Blocked::Otherwise && loop_.now() >= channel_->retry_at) {
    channel_->blocked = Blocked::No;
  }
  if (channel_ && loop_.now() >= channel_->answers_at) {
    const bool more_came = std::exchange(channel_->sent_by_then, last_sent_) != last_sent_;
    channel_->answers_from = channel_->answers_at = kNever;
    if (more_came) let_answers_gather();
    return read(Hear::WhatCameAtOnce);
  }
  write();
}

void NodeInbox::on_channel_ready(bool readable, bool writable) {
  if (readable) read(Hear::WhatCameAtOnce);
  if (!channel_ || !writable || channel_->blocked != Blocked::QueueFull) return;
  channel_->blocked = Blocked::No;
  channel_->unread_since.reset();
  const auto before = std::pair(last_sent_, channel_->unread_bytes);
  write();
  if (!channel_ || channel_->blocked != Blocked::QueueFull || before != std::pair(last_sent_, channel_->unread_bytes))
    return;
  // Writable and yet refused: waiting for writability would spin.
  channel_->blocked = Blocked::Otherwise;
  channel_->retry_at = loop_.now() + kRetryAfter;
  watch();
}

void NodeInbox::read(Hear how) {
  const int most = how == Hear::AllThatThereIs ? kMostReadsOfOne : kReadsPerTurn;
  const std::shared_ptr<Channel> channel = channel_;  // a hook may end it
  std::array<std::byte, kReadSize> buffer;
  for (int i = 0; i < most && channel_ == channel; i++) {
    // Descriptors that a worker sends are for nobody: they close here.
    const Result<Received> received = receive_with_fds(channel->fd, buffer);
    if (!received) {
      distrust(*channel, received.error());
      break;
    }
    if (received->state == Received::State::WouldBlock) break;
    if (received->state == Received::State::Closed) {
      channel->ended = true;
      perform_all(channel->session.on_end());
      break;
    }
    channel->stream.push({reinterpret_cast<const char*>(buffer.data()), received->length});
    if (channel->joined && !channel->stream.may_begin_here()) {
      dismiss(*channel, "the supervisor before us was killed in the middle of a message from it");
    }
    while (channel_ == channel) {
      const Result<std::optional<std::string_view>> message = channel->stream.next();
      if (message && !*message) break;
      if (message) {
        hear(*channel, **message);
      } else {
        on_unreadable(*channel, message.error());
      }
    }
    if (how == Hear::WhatCameAtOnce && received->length < buffer.size()) break;
  }
  finish_turn();
}

void NodeInbox::hear(Channel& channel, std::string_view bytes) {
  const Result<NodeMessage> message = decode_node_message(bytes, serialization_);
  if (!message) return on_unreadable(channel, message.error());
  channel.joined = false;
  if (channel.distrusted && !is_answer(*message)) return;
  const Result<NodeSession::Effects> effects = channel.session.on_message(*message, loop_.now());
  if (!effects) return distrust(channel, effects.error());
  channel.learned |= tells_of_servers(*message);
  perform_all(*effects);
  if (std::holds_alternative<NodeClosed>(*message) && hooks_.on_strays && !settling_) hooks_.on_strays(*this);
}

void NodeInbox::on_unreadable(Channel& channel, const Error& error) {
  if (!std::exchange(channel.joined, false)) distrust(channel, error);
}

// Nothing more is said to it, for it would not be understood, or heard from it.
void NodeInbox::dismiss(Channel& channel, const std::string& why) {
  channel.joined = false;
  channel.distrusted = true;
  perform_all(channel.session.dismiss(why));
}

// What it had taken up must be known all the same: given to another worker, such a connection would be served twice.
void NodeInbox::distrust(Channel& channel, const Error& error) {
  if (std::exchange(channel.distrusted, true) || settling_) return;
  hooks_.on_garbage(*this, error);
}

void NodeInbox::finish_turn() {
  const bool taken_up = !taken_up_.empty();
  close_all(std::exchange(taken_up_, {}));
  const bool came_back = !came_back_.empty();
  for (auto connection = came_back_.rbegin(); connection != came_back_.rend(); ++connection) {
    unsent_[connection->record.listener].push_front(std::move(*connection));
  }
  came_back_.clear();
  write();
  if (settling_) return;
  if (came_back && channel_ && !channel_->session.is_open()) hooks_.on_came_back(*this);
  if (taken_up && room_wanted_) hooks_.on_room();
}

void NodeInbox::perform_all(const NodeSession::Effects& effects) {
  for (const NodeSession::Effect& effect : effects) {
    std::visit([this](const auto& e) { perform(e); }, effect);
  }
}

void NodeInbox::append(const NodeOrder& order, Asked asked) {
  Channel::Unread message{encode(order, serialization_), asked == Asked::Yes};
  channel_->unread_bytes += message.bytes.size();
  if (message.asked_for) channel_->asked_for++;
  channel_->unread.push_back(std::move(message));
}

void NodeInbox::perform(const NodeSession::Send& effect) {
  if (!channel_ || channel_->distrusted) return;
  append(effect.order, Asked::Yes);
  if (channel_->asked_for > kMostUnreadAnswers)
    distrust(*channel_, Error{{}, "it asks, and does not read what it is answered"});
}

void NodeInbox::perform(const NodeSession::TakenUp& effect) {
  const auto connection = in_flight_.find(effect.connection);
  if (hooks_.on_taken_up) hooks_.on_taken_up(*this, connection->second.fd);
  taken_up_.push_back(std::move(connection->second.fd));
  in_flight_.erase(connection);
  taken_++;
}

void NodeInbox::perform(const NodeSession::CameBack& effect) {
  const auto connection = in_flight_.find(effect.connection);
  came_back_.push_back(std::move(connection->second));
  in_flight_.erase(connection);
}

void NodeInbox::perform(const NodeSession::Asked& effect) {
  const NodeServers::Answer answer = hooks_.on_query(*this, effect.query);
  if (channel_) perform_all(channel_->session.answer(effect.query, answer));
}

void NodeInbox::perform(const NodeSession::IsReady&) {
  if (!settling_) hooks_.on_ready(*this);
}

void NodeInbox::perform(const NodeSession::StopsAccepting&) {
  if (!settling_) hooks_.on_accepting(*this, false);
}

void NodeInbox::perform(const NodeSession::AcceptsAgain&) {
  if (!settling_) hooks_.on_accepting(*this, true);
}

void NodeInbox::perform(const NodeSession::Leaves& effect) {
  if (!settling_) hooks_.on_leaves(*this, effect.why);
}

void NodeInbox::perform(const NodeSession::Finish&) {
  if (channel_) channel_->to_be_closed = true;
}

void NodeInbox::perform(const NodeSession::Heard& effect) { hooks_.on_heard(*this, effect); }

void NodeInbox::watch() {
  if (!channel_) return timer_.disarm();
  if (!may_let_answers_gather()) channel_->answers_from = channel_->answers_at = kNever;
  using Interest = FdWatcher::Interest;
  const bool writable = channel_->blocked == Blocked::QueueFull;
  const bool deaf = channel_->ended || channel_->answers_at != kNever;
  channel_->watcher.watch(deaf ? Interest::None : writable ? Interest::Both : Interest::Readable);
  const TimePoint retry = channel_->blocked == Blocked::Otherwise ? channel_->retry_at : kNever;
  timer_.arm(channel_->ended ? kNever
                             : std::min({retry, channel_->answers_at, channel_->session.next_deadline(loop_.now())}));
}

// Nothing waits for them but our copies of the connections.
bool NodeInbox::may_let_answers_gather() const {
  return channel_->blocked == Blocked::No && channel_->session.is_open() && !channel_->ended && !unsent() &&
         !unsent_drain_ && !room_wanted_;
}

void NodeInbox::close_channel() {
  channel_->watcher.watch(FdWatcher::Interest::None);
  // We may be inside the callback of its watcher.
  loop_.defer([ended = std::move(channel_)] {});
  channel_.reset();
  timer_.disarm();
}

}  // namespace holdfast
