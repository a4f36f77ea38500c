// What is said to the worker, as its channel takes it.
#include <utility>

#include "sys/fd_passing.h"
#include "sys/sockets.h"
#include "sys/stream.h"
#include "wire/node_codec.h"
#include "worker/node_channel.h"
#include "worker/node_inbox.h"

namespace holdfast {

namespace {

// The answers to connections that come closer to each other than this gather for as long, and are read when we are awake
// for other connections. Each would else wake us once or twice, which costs as much as passing it.
constexpr Duration kAnswersGather = std::chrono::milliseconds(1);
constexpr Duration kAnswersWait = std::chrono::milliseconds(3);  // at most

}  // namespace

ListenerId NodeInbox::way_of(ListenerId listener) const {
  const NodeSession& session = channel_->session;
  const std::vector<ListenerId>& servers = session.claimed();
  if (!session.by_newconn() || session.serves(listener) || servers.empty() || !hooks_.stand_in) return listener;
  return hooks_.stand_in(*this, listener, servers).value_or(listener);
}

void NodeInbox::write() {
  if (channel_ && std::exchange(channel_->learned, false) && !settling_ && hooks_.before_acting) hooks_.before_acting();
  // A hook may end the channel.
  while (channel_ && !channel_->ended && !channel_->distrusted && channel_->blocked == Blocked::No &&
         (write_line() || write_question() || write_connection() || write_drain() || write_end())) {
  }
  watch();
  if (hooks_.on_strays && !settling_ && !strays().empty()) hooks_.on_strays(*this);
}

bool NodeInbox::write_line() {
  if (channel_->unread.empty()) return false;
  Channel::Unread& message = channel_->unread.front();
  const std::size_t length = send(message.bytes, std::nullopt);
  channel_->unread_bytes -= length;
  message.bytes.erase(0, length);
  if (!message.bytes.empty()) {
    if (length > 0) on_cut();
    return true;
  }
  channel_->cut = false;
  if (message.asked_for) channel_->asked_for--;
  channel_->unread.pop_front();
  return true;
}

bool NodeInbox::write_question() {
  NodeSession& session = channel_->session;
  if (!session.may_ask(loop_.now())) return false;
  const NodeSession::Question question = session.question();
  const std::string bytes = encode(question.order, serialization_);
  Result<ChannelPair> ours = question.with_descriptor ? make_stream_channel() : ChannelPair{};
  if (!ours) {  // we are at our limit of open files
    channel_->blocked = Blocked::Otherwise;
    channel_->retry_at = loop_.now() + kRetryAfter;
    return false;
  }
  const UniqueFd& descriptor = ours->supervisor_end;
  const std::size_t length = send(bytes, descriptor ? std::optional<BorrowedFd>(descriptor) : std::nullopt);
  if (length == 0) return true;
  session.on_question_sent(loop_.now());
  if (length < bytes.size()) on_cut(bytes.substr(length));
  return true;
}

bool NodeInbox::write_connection() {
  const TimePoint now = loop_.now();
  // Of those that may go, the one that came first.
  std::deque<Connection>* first = nullptr;
  for (auto& [listener, queue] : unsent_) {
    if (queue.empty() || !channel_->session.may_send(way_of(ListenerId{listener}), now)) continue;
    if (first == nullptr || queue.front().record.id < first->front().record.id) first = &queue;
  }
  if (first == nullptr) return false;
  Connection& connection = first->front();
  const ListenerId listener = way_of(ListenerId{connection.record.listener});
  // A server of `cluster` sees to that itself; a program that gets a socket by message does not.
  if (!channel_->session.by_newconn()) set_no_delay(connection.fd);
  const std::string bytes = encode(channel_->session.connection_order(listener), serialization_);
  const std::size_t length = send(bytes, BorrowedFd(connection.fd));
  if (length == 0) return true;
  channel_->session.on_sent(++last_sent_, listener, now);
  const bool close_together = now - std::exchange(channel_->last_connection_at, now) < kAnswersGather;
  if (close_together && channel_->answers_at == kNever) {
    let_answers_gather();
    channel_->sent_by_then = last_sent_;
  }
  in_flight_.emplace(last_sent_, std::move(connection));
  first->pop_front();
  if (length < bytes.size()) on_cut(bytes.substr(length));  // the descriptor went with the first byte
  return true;
}

bool NodeInbox::write_drain() {
  if (!unsent_drain_) return false;
  for (const auto& [listener, queue] : unsent_) {
    if (!queue.empty() && channel_->session.takes(way_of(ListenerId{listener}), loop_.now())) return false;
  }
  unsent_drain_.reset();
  perform_all(channel_->session.drain());
  if (unsent()) hooks_.on_came_back(*this);
  return true;
}

bool NodeInbox::write_end() {
  if (std::exchange(channel_->to_be_closed, false)) end_stream(channel_->fd);
  return false;
}

// A part of a message is sent, and the rest is the next to be.
void NodeInbox::on_cut(std::string rest) {
  channel_->unread_bytes += rest.size();
  channel_->unread.push_front({std::move(rest)});
  on_cut();
}

// Another program cannot go on with it: who is told anything after half a message ends.
void NodeInbox::on_cut() {
  if (std::exchange(channel_->cut, true) || settling_) return;
  if (hooks_.before_acting) hooks_.before_acting();
}

std::size_t NodeInbox::send(std::string_view bytes, std::optional<BorrowedFd> fd) {
  const Result<SentPart> sent = send_part(channel_->fd, bytes, fd);
  const SendOutcome outcome = sent ? sent->outcome : SendOutcome::TooManyInFlight;
  switch (outcome) {
    case SendOutcome::Sent:
      return sent->length;
    case SendOutcome::WouldBlock:
      channel_->blocked = Blocked::QueueFull;
      if (!channel_->unread_since) channel_->unread_since = loop_.now();
      break;
    case SendOutcome::TooManyInFlight:
      channel_->blocked = Blocked::Otherwise;
      channel_->retry_at = loop_.now() + kRetryAfter;
      break;
    case SendOutcome::Gone:
      channel_->blocked = Blocked::Closed;
      break;
  }
  return 0;
}

void NodeInbox::let_answers_gather() {
  channel_->answers_from = loop_.now() + kAnswersGather;
  channel_->answers_at = loop_.now() + kAnswersWait;
}

}  // namespace holdfast
