#include <utility>

#include "wire/saved_state.h"
#include "worker/node_channel.h"
#include "worker/node_inbox.h"
#include "worker/saved_connection.h"

namespace holdfast {

namespace {

std::string bytes_of(const std::string& hex) { return bytes_of_hex(hex).value_or(""); }

}  // namespace

std::unique_ptr<NodeInbox> NodeInbox::adopt(Loop& loop, NodeSession::Policy policy, NodeSerialization serialization,
                                            Hooks hooks, const SavedNodeInbox& saved, FdTable& fds) {
  auto inbox = std::make_unique<NodeInbox>(loop, std::move(policy), serialization, std::move(hooks));
  for (const SavedConnection& each : saved.unsent) inbox->put(take_connection(each, fds));
  for (const SavedNodeInbox::InFlight& each : saved.in_flight)
    inbox->in_flight_.emplace(each.number, take_connection(each.connection, fds));
  inbox->unsent_drain_ = saved.unsent_drain;
  inbox->last_sent_ = saved.last_sent;
  inbox->taken_ = saved.taken;
  if (!saved.channel) return inbox;
  UniqueFd fd = fds.take_if_there(saved.channel->fd);
  if (!fd) return inbox;
  NodeInbox* const self = inbox.get();
  inbox->channel_ = std::make_shared<Channel>(
      loop, std::move(fd), NodeSession(inbox->policy_, saved.channel->session), serialization,
      [self](FdWatcher::Ready ready) { self->on_channel_ready(ready.readable, ready.writable); });
  Channel& channel = *inbox->channel_;
  channel.stream.push(bytes_of(saved.channel->heard));
  for (const std::string& message : saved.channel->to_send) {
    channel.unread.push_back({bytes_of(message)});
    channel.unread_bytes += channel.unread.back().bytes.size();
  }
  channel.cut = saved.channel->cut;
  channel.distrusted = saved.channel->distrusted;
  channel.ended = saved.channel->ended;
  channel.to_be_closed = saved.channel->to_be_closed;
  // The owner knows it only later, so nothing is heard or said before the loop's next turn.
  inbox->watch();
  inbox->timer_.arm(loop.now());
  return inbox;
}

SavedNodeInbox NodeInbox::save(FdList& fds, SavedFor what) const {
  const bool with_what_waits = what == SavedFor::Upgrade;
  SavedNodeInbox saved;
  saved.unsent_drain = unsent_drain_;
  saved.last_sent = last_sent_;
  saved.taken = taken_;
  if (with_what_waits) {
    for (const auto& [listener, queue] : unsent_) {
      for (const Connection& connection : queue) saved.unsent.push_back(save_connection(connection, fds));
    }
    for (const auto& [number, connection] : in_flight_)
      saved.in_flight.push_back({number, save_connection(connection, fds)});
  } else {
    saved.taken += in_flight_.size();  // the worker has them, whether it takes them up or not
  }
  if (!channel_) return saved;
  SavedNodeChannel& channel = saved.channel.emplace();
  channel.fd = fds.add("channel", channel_->fd);
  channel.session = channel_->session.save();
  if (with_what_waits) {
    channel.heard = hex_of(channel_->stream.rest());
    for (const Channel::Unread& message : channel_->unread) channel.to_send.push_back(hex_of(message.bytes));
  }
  channel.cut = channel_->cut;
  channel.distrusted = channel_->distrusted;
  channel.ended = channel_->ended;
  channel.to_be_closed = channel_->to_be_closed;
  return saved;
}

void NodeInbox::recover() {
  if (!channel_) return;
  Channel& channel = *channel_;
  channel.session = NodeSession(policy_, NodeSession::recovered(channel.session.save()));
  channel.joined = true;
  channel.blocked = Blocked::Otherwise;  // until the loop turns: what we know is kept by then
  channel.retry_at = loop_.now();
  if (std::exchange(channel.cut, false)) {
    return dismiss(channel, "the supervisor before us was killed in the middle of a message to it");
  }
  perform_all(channel.session.ask_again());
}

bool NodeInbox::is_leaving() const { return channel_ && channel_->session.is_leaving(); }

}  // namespace holdfast
