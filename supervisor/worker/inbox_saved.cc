#include <algorithm>
#include <iterator>
#include <utility>

#include "worker/inbox.h"
#include "worker/saved_connection.h"

namespace holdfast {

Result<std::unique_ptr<Inbox>> Inbox::adopt(Loop& loop, const SavedInbox& saved, FdTable& fds, Hooks hooks) {
  Result<UniqueFd> supervisor_end = fds.take(saved.supervisor_end);
  if (!supervisor_end) return std::move(supervisor_end).error();
  Result<UniqueFd> worker_end = fds.take(saved.worker_end);
  if (!worker_end) return std::move(worker_end).error();
  Result<UniqueFd> page_fd = fds.take(saved.page);
  if (!page_fd) return std::move(page_fd).error();
  Result<CounterPage> page = CounterPage::adopt(*std::move(page_fd));
  if (!page) return std::move(page).error();
  std::unique_ptr<Inbox> inbox(new Inbox(loop, ChannelPair{*std::move(supervisor_end), *std::move(worker_end)},
                                         *std::move(page), std::move(hooks)));
  for (const SavedConnection& connection : saved.unsent) {
    if (fds.has(connection.fd)) inbox->unsent_.push_back(take_connection(connection, fds));
  }
  if (saved.unsent_drain) inbox->unsent_drain_ = DrainOrder{*saved.unsent_drain, saved.drain_spread};
  for (const SavedInbox::Message& message : saved.messages) {
    inbox->messages_.push_back(Sent{message.bytes, message.connections});
  }
  inbox->sent_ = saved.sent;
  inbox->taken_before_ = std::min(saved.taken_before, saved.sent);
  inbox->accepted_before_ = saved.accepted_before;
  inbox->lost_before_ = saved.lost_before;
  inbox->deaf_ = saved.deaf;
  inbox->shut_ = saved.shut;
  inbox->greeted_ = saved.greeted;
  inbox->uses_page_ = saved.uses_page;
  inbox->frames_ = {.taken = saved.told_taken,
                    .accepted = saved.told_accepted,
                    .closed = saved.told_closed,
                    .lost = saved.told_lost,
                    .heartbeat = saved.told_heartbeat};
  (void)inbox->flush();  // dropped, and so closed; and begins to watch
  return inbox;
}

SavedInbox Inbox::save(FdList& fds) const {
  const DrainOrder order = unsent_drain_.value_or(DrainOrder{});
  SavedInbox saved{.supervisor_end = fds.add("channel", channel_.supervisor_end),
                   .worker_end = fds.add("channel", channel_.worker_end),
                   .page = fds.add("page", page_.fd()),
                   .unsent = {},
                   .unsent_drain = unsent_drain_ ? std::optional(order.deadline) : std::nullopt,
                   .drain_spread = order.spread,
                   .messages = {},
                   .sent = sent_,
                   .taken_before = taken_before_,
                   .accepted_before = accepted_before_,
                   .lost_before = lost_before_,
                   .deaf = deaf_,
                   .shut = shut_,
                   .greeted = greeted_,
                   .uses_page = uses_page_,
                   .told_taken = frames_.taken,
                   .told_accepted = frames_.accepted,
                   .told_closed = frames_.closed,
                   .told_lost = frames_.lost,
                   .told_heartbeat = frames_.heartbeat};
  for (const Connection& connection : unsent_) saved.unsent.push_back(save_connection(connection, fds));
  for (const Sent& message : messages_) saved.messages.push_back({message.bytes, message.connections});
  return saved;
}

std::vector<Connection> Inbox::recount() {
  constexpr std::uint64_t kMoreThanIsUnread = std::uint64_t{1} << 32;
  sent_ += kMoreThanIsUnread;  // it is subtracted from
  std::vector<Connection> unread;
  for (bool more = true; more;) {
    TakenBack back = take_back();
    more = !back.connections.empty();
    if (back.drain) unsent_drain_ = back.drain;
    std::move(back.connections.begin(), back.connections.end(), std::back_inserter(unread));
  }
  sent_ = taken_before_ + page_.taken() + page_.lost() + frames_.taken + frames_.lost;
  unsure_ = true;
  if (page_.ready() || page_.heartbeat(loop_.now()) != TimePoint{}) uses_page_ = true;
  return unread;
}

}  // namespace holdfast
