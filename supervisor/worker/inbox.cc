#include "worker/inbox.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

namespace holdfast {

namespace {

// Room for a queue limit of about a thousand messages of one connection each; net.core.wmem_max caps it.
constexpr std::size_t kSendBuffer = 1 << 20;
// The kernel is asked what was read once for so many messages: one cheap call instead of an unbounded list.
constexpr std::size_t kMessagesBeforeTrim = 256;
// Frames that are read in one turn: a worker that floods its channel does not stop the others.
constexpr int kFramesPerTurn = 64;
// More than a channel holds: a process that has left the group of its worker may still be writing.
constexpr int kMostFramesOfOne = 16 * 1024;
constexpr Duration kRetryAfter = std::chrono::milliseconds(5);
// More than a worker serves in its life: what it says beyond would only make sums overflow.
constexpr std::uint64_t kMostServed = std::uint64_t{1} << 48;

std::uint64_t capped_sum(std::uint64_t a, std::uint64_t b) {
  return std::min(std::min(a, kMostServed) + std::min(b, kMostServed), kMostServed);
}

}  // namespace

Result<std::unique_ptr<Inbox>> Inbox::create(Loop& loop, Hooks hooks) {
  Result<ChannelPair> channel = make_channel(kSendBuffer);
  if (!channel) return std::move(channel).error();
  Result<CounterPage> page = CounterPage::create();
  if (!page) return std::move(page).error();
  return std::unique_ptr<Inbox>(new Inbox(loop, *std::move(channel), *std::move(page), std::move(hooks)));
}

Inbox::Inbox(Loop& loop, ChannelPair channel, CounterPage page, Hooks hooks)
    : loop_(loop),
      hooks_(std::move(hooks)),
      channel_(std::move(channel)),
      page_(std::move(page)),
      watcher_(loop, channel_.supervisor_end, [this](FdWatcher::Ready ready) { on_ready(ready); }),
      retry_(loop, [this] { retry(); }) {
  watch();
}

void Inbox::put(Connection connection) { unsent_.push_back(std::move(connection)); }

std::vector<UniqueFd> Inbox::flush() {
  std::vector<UniqueFd> sent;
  // The timer is armed; arming it again each time would put the retry off for ever.
  if (blocked_ == Blocked::Otherwise) return sent;
  while (blocked_ == Blocked::No && !unsent_.empty()) blocked_ = send_batch(sent);
  if (blocked_ == Blocked::No && unsent_drain_) blocked_ = send_drain();
  watch();
  return sent;
}

void Inbox::drain(const DrainOrder& order) {
  unsent_drain_ = order;
  (void)flush();
}

Inbox::Account Inbox::account() const {
  const std::uint64_t lost = page_.lost() + frames_.lost;
  // What the kernel dropped at the worker's descriptor limit has left the channel too.
  const std::uint64_t left = std::min(page_.taken() + frames_.taken + lost, sent_ - taken_before_);
  const std::uint64_t accepted = capped_sum(page_.accepted(), frames_.accepted);
  const std::uint64_t served = left + accepted;
  return Account{.waiting = unsent_.size() + sent_ - taken_before_ - left,
                 .taken = taken_before_ + left,
                 .accepted = accepted_before_ + accepted,
                 .open = served - std::min(capped_sum(page_.closed(), frames_.closed) + lost, served),
                 .lost = lost_before_ + std::min(lost, left)};
}

TimePoint Inbox::heartbeat(TimePoint now) const { return std::max(page_.heartbeat(now), frames_.heartbeat); }

void Inbox::want_room(bool wanted) { page_.want_taken(wanted); }

void Inbox::settle() {
  read_frames();
  discard_frames();
  // What the kernel still holds was not taken, whatever the worker said: from the newest message backwards.
  std::size_t connections_left = 0;
  if (const Result<std::size_t> unread = unread_bytes(channel_.worker_end)) {
    std::size_t bytes = 0;
    for (auto message = messages_.rbegin(); message != messages_.rend() && bytes < *unread; ++message) {
      bytes += message->bytes;
      connections_left += message->connections;
    }
  }
  lost_before_ = account().lost;
  accepted_before_ = account().accepted;
  taken_before_ = sent_ - connections_left;
  page_.reset();
  frames_ = FrameCounts{};
  greeted_ = false;
  unsure_ = false;
  uses_page_ = false;
  deaf_ = false;
  unsent_drain_.reset();  // it was for the one that has ended
  blocked_ = Blocked::No;
  watch();
}

// What is left of a worker that was not heard to the end must not be taken for the words of the next.
void Inbox::discard_frames() {
  std::array<std::byte, HF_MAX_FRAME> buffer;
  for (int i = 0; i < kMostFramesOfOne; i++) {
    const Result<Received> received = receive_with_fds(channel_.supervisor_end, buffer);
    if (!received || received->state != Received::State::Message) return;
  }
}

std::vector<Connection> Inbox::take_back_some() { return take_back().connections; }

Inbox::TakenBack Inbox::take_back() {
  TakenBack back;
  std::array<std::byte, HF_MAX_FRAME> buffer;
  while (true) {
    Result<Received> received = receive_with_fds(channel_.worker_end, buffer);
    if (!received || received->state != Received::State::Message) break;
    const std::span<const std::byte> bytes = std::span(buffer).first(received->length);
    if (const std::optional<DrainOrder> order = decode_drain(bytes)) back.drain = order;
    const Result<std::vector<ConnectionRecord>> records = decode_connections(bytes);
    if (!records || records->empty()) continue;
    // At our own descriptor limit the kernel drops the last ones.
    received->fds.resize(records->size());
    std::vector<std::string> details = decode_details(bytes);
    for (std::size_t i = 0; i < records->size(); i++) {
      back.connections.push_back(Connection{std::move(received->fds[i]), (*records)[i], std::move(details[i])});
    }
    sent_ -= records->size();
    return back;
  }
  trim_sent();
  std::move(unsent_.begin(), unsent_.end(), std::back_inserter(back.connections));
  unsent_.clear();
  blocked_ = Blocked::No;
  watch();
  return back;
}

void Inbox::on_ready(FdWatcher::Ready ready) {
  if (ready.readable) read_frames();
  if (!ready.writable || blocked_ != Blocked::QueueFull) return;
  retry();
  // Writable and yet refused: waiting for writability would spin.
  if (blocked_ == Blocked::QueueFull) blocked_ = Blocked::Otherwise;
  watch();
}

void Inbox::retry() {
  blocked_ = Blocked::No;
  (void)flush();
  if (blocked_ == Blocked::No && hooks_.on_room) hooks_.on_room();
}

void Inbox::read_frames() {
  std::array<std::byte, HF_MAX_FRAME> buffer;
  for (int i = 0; i < kFramesPerTurn && !deaf_; i++) {
    Result<Received> received = receive_with_fds(channel_.supervisor_end, buffer);
    if (!received) return hear_garbage(received.error());
    if (received->state == Received::State::Closed) {
      shut_ = true;
      return hear_garbage(Error{{}, "it shut the channel down"});
    }
    if (received->state != Received::State::Message) return;
    if (received->truncated) return hear_garbage(Error{{}, "a frame longer than the protocol allows"});
    const Result<WorkerFrame> frame = decode_worker_frame(std::span(buffer).first(received->length));
    if (!frame) return hear_garbage(frame.error());
    const bool greeted = std::exchange(greeted_, true);
    if (!std::exchange(unsure_, false) && greeted == std::holds_alternative<HelloFrame>(*frame))
      return hear_garbage(Error{{}, greeted ? "it said HELLO twice" : "its first frame was not HELLO"});
    take_note(*frame);
    hooks_.on_frame(*this, *frame);
  }
}

void Inbox::hear_garbage(const Error& error) {
  deaf_ = true;
  watch();
  hooks_.on_garbage(*this, error);
}

void Inbox::take_note(const WorkerFrame& frame) {
  if (const auto* hello = std::get_if<HelloFrame>(&frame)) uses_page_ = hello->uses_page;
  if (const auto* taken = std::get_if<TakenFrame>(&frame)) {
    if (!uses_page_) frames_.taken += std::min(taken->connections, sent_);
    if (hooks_.on_room) hooks_.on_room();
  } else if (const auto* closed = std::get_if<ClosedFrame>(&frame)) {
    if (!uses_page_) frames_.closed = capped_sum(frames_.closed, closed->connections);
  } else if (const auto* accepted = std::get_if<AcceptedFrame>(&frame)) {
    if (!uses_page_) frames_.accepted = capped_sum(frames_.accepted, accepted->connections);
  } else if (const auto* lost = std::get_if<LostFrame>(&frame)) {
    if (!uses_page_) frames_.lost += std::min(lost->descriptors, sent_);
    if (hooks_.on_room) hooks_.on_room();
  }
  frames_.heartbeat = loop_.now();
}

Inbox::Blocked Inbox::send_batch(std::vector<UniqueFd>& sent) {
  std::array<ConnectionRecord, HF_MAX_BATCH> records;
  std::array<std::string_view, HF_MAX_BATCH> details;
  std::array<int, HF_MAX_BATCH> fds;
  std::size_t count = 0;
  bool has_details = false;
  for (std::size_t length = sizeof(hf_frame_header); count < std::min<std::size_t>(unsent_.size(), HF_MAX_BATCH);
       count++) {
    const Connection& connection = unsent_[count];
    const std::size_t record_length = sizeof(ConnectionRecord) + connection.details.size();
    length += record_length;
    if (length > HF_MAX_FRAME) break;
    records[count] = connection.record;
    records[count].record_length = static_cast<std::uint16_t>(record_length);
    details[count] = connection.details;
    has_details |= !connection.details.empty();
    fds[count] = connection.fd.get();
  }
  const std::vector<std::byte> bytes =
      encode_connections(std::span(records).first(count), std::span(details).first(has_details ? count : 0));
  const Blocked blocked = send(bytes, std::span(fds).first(count));
  if (blocked != Blocked::No) return blocked;
  for (std::size_t i = 0; i < count; i++) sent.push_back(std::move(unsent_[i].fd));
  unsent_.erase(unsent_.begin(), unsent_.begin() + static_cast<std::ptrdiff_t>(count));
  on_sent(bytes.size(), count);
  return Blocked::No;
}

Inbox::Blocked Inbox::send_drain() {
  const std::vector<std::byte> bytes = encode_drain(*unsent_drain_);
  const Blocked blocked = send(bytes, {});
  if (blocked != Blocked::No) return blocked;
  unsent_drain_.reset();
  on_sent(bytes.size(), 0);
  return Blocked::No;
}

Inbox::Blocked Inbox::send(const std::vector<std::byte>& bytes, std::span<const int> fds) {
  const Result<SendOutcome> outcome = send_with_fds(channel_.supervisor_end, bytes, fds);
  if (outcome && *outcome == SendOutcome::Sent) return Blocked::No;
  return outcome && *outcome == SendOutcome::WouldBlock ? Blocked::QueueFull : Blocked::Otherwise;
}

void Inbox::on_sent(std::size_t bytes, std::size_t connections) {
  messages_.push_back(Sent{bytes, connections});
  sent_ += connections;
  if (messages_.size() >= kMessagesBeforeTrim) trim_sent();
}

void Inbox::trim_sent() {
  const Result<std::size_t> unread = unread_bytes(channel_.worker_end);
  if (!unread) return;
  std::size_t bytes = 0;
  std::size_t kept = 0;
  while (kept < messages_.size() && bytes < *unread) bytes += messages_[messages_.size() - 1 - kept++].bytes;
  messages_.erase(messages_.begin(), messages_.end() - static_cast<std::ptrdiff_t>(kept));
}

void Inbox::watch() {
  const bool writable = blocked_ == Blocked::QueueFull && !shut_;
  if (deaf_ || shut_) {
    watcher_.watch(writable ? FdWatcher::Interest::Writable : FdWatcher::Interest::None);
  } else {
    watcher_.watch(writable ? FdWatcher::Interest::Both : FdWatcher::Interest::Readable);
  }
  if (blocked_ == Blocked::Otherwise && !shut_) {
    retry_.arm(loop_.now() + kRetryAfter);
  } else {
    retry_.disarm();
  }
}

}  // namespace holdfast
