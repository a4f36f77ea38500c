#include "bus/bus_port.h"

#include <holdfast/bus_channel.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "sys/check.h"
#include "sys/gathered_send.h"
#include "wire/bus_frames.h"

namespace holdfast {

namespace {

constexpr std::size_t kMaxPieces = 96;  // of one frame, below what `send_gathered` takes
constexpr Duration kRetryAfter = std::chrono::milliseconds(5);
constexpr int kFramesLeftBehind = 64;  // more than a channel holds
// Who has so many answers to take up is not heard until he has taken some: he would go on asking.
constexpr std::uint64_t kMaxAnswers = 4096;
// Of what one worker has asked for and not taken: more is kept only by those who ask again and again, and read nothing.
constexpr std::size_t kMaxReplay = std::size_t{64} << 20;

// One for all: what is read is copied out of it, in its real size.
std::array<std::byte, HF_BUS_MAX_FRAME> read_buffer;

// Of a run that waits, beside its records: what it takes to keep it.
constexpr std::size_t kOverhead = 256;

std::size_t weight(const BusRun& run) { return run.length + run.memory + kOverhead; }

// What may wait for long is not to keep a whole frame for a small part of it. Not for the batch of a program before us, which is one
// for everything.
void let_go_of_the_rest(BusRun& run) {
  if (run.length >= run.batch->size / 4 || run.batch->size > HF_BUS_MAX_FRAME) return;
  run.batch = run_of({run.batch->bytes.get() + run.offset, run.length}, run.records).batch;
  run.offset = 0;
}

hf_bus_record record_at(const BusRun& run, std::size_t offset) {
  hf_bus_record record{};
  std::memcpy(&record, run.batch->bytes.get() + offset, sizeof record);
  return record;
}

// That the calls have ended, without what was answered.
BusRun without_data(const BusRun& answers) {
  std::vector<std::byte> bytes;
  std::size_t offset = answers.offset;
  for (unsigned i = 0; i < answers.records; i++) {
    const hf_bus_record record = record_at(answers, offset);
    const int status = record.size == 0 ? record.status : -ENOBUFS;
    const std::vector<std::byte> short_one =
        encode_bus_record({HF_BUS_REPLY, "", "", ""}, {.status = status, .call = record.call, .node = record.node});
    bytes.insert(bytes.end(), short_one.begin(), short_one.end());
    offset += record.length;
  }
  return run_of(bytes, answers.records);
}

}  // namespace

BusRun run_of(std::span<const std::byte> records, std::uint16_t count) {
  if (sizeof(hf_frame_header) + records.size() > HF_BUS_MAX_FRAME) fail_check("records of the bus fit into no frame");
  auto batch = std::make_shared<BusBatch>();
  batch->bytes = std::make_unique_for_overwrite<std::byte[]>(records.size());
  batch->size = records.size();
  std::memcpy(batch->bytes.get(), records.data(), records.size());
  return {std::move(batch), 0, records.size(), count, {}, 0};
}

BusRun run_of(std::span<const std::byte> record, const SharedMemory& memory) {
  BusRun run = run_of(record);
  run.memfd = memory.fd;
  run.memory = memory.size;
  return run;
}

BusPort::BusPort(Loop& loop, UniqueFd end, BusQueue<BusRun>::Limit limit, Hooks hooks)
    : loop_(loop),
      end_(std::move(end)),
      hooks_(std::move(hooks)),
      watcher_(std::in_place, loop, end_, [this](FdWatcher::Ready ready) { on_ready(ready); }),
      retry_(loop, [this] { flush(); }) {
  queue_.set_limit(limit);
  watch();
}

bool BusPort::push(BusRun run) {
  if (is_compact_) let_go_of_the_rest(run);
  const std::size_t bytes = weight(run);
  const std::uint64_t records = run.records;
  if (record_at(run, run.offset).kind != HF_BUS_REPLY) return queue_.push(std::move(run), bytes, records);
  if (queue_.make_room(bytes)) {
    queue_.push_answer(std::move(run), bytes, records);
    return true;
  }
  if (queue_.limit().full == BusFull::Disconnect) return false;
  BusRun short_one = without_data(run);
  const std::size_t short_bytes = weight(short_one);
  queue_.push_answer(std::move(short_one), short_bytes, records);
  return true;
}

void BusPort::end() {
  if (std::exchange(ended_, true)) return;
  frames_.clear();
  list_.reset();
  queue_.count_dropped(waiting());
  replays_.clear();
  while (!queue_.empty()) queue_.pop();
  watcher_->watch(FdWatcher::Interest::None);
  retry_.disarm();
}

void BusPort::close() {
  watcher_.reset();
  end_.reset();
}

void BusPort::on_ready(FdWatcher::Ready ready) {
  const TimePoint begun = std::chrono::steady_clock::now();
  take_turn(ready);
  hooks_.on_worked(std::chrono::steady_clock::now() - begun);
}

void BusPort::take_turn(FdWatcher::Ready ready) {
  if (ready.writable && blocked_) flush();
  if (!ready.readable || ended_ || !may_hear()) return;
  if (hooks_.may_work()) {
    (void)read_one();  // the next one with the next turn: others want theirs
    return;
  }
  resting_ = true;
  watch();
}

void BusPort::resume() {
  const bool rested = std::exchange(resting_, false);
  if (std::exchange(replay_rests_, false)) return flush();
  if (rested) watch();
}

void BusPort::read_rest() {
  for (int i = 0; i < kFramesLeftBehind && !ended_; i++) {
    if (read_one() == Read::Nothing) return;
  }
}

BusPort::Read BusPort::read_one() {
  Result<Received> received = receive_with_fds(end_, read_buffer);
  if (!received || received->state == Received::State::Closed) {
    hooks_.on_closed();
    return Read::Nothing;
  }
  if (received->state == Received::State::WouldBlock) return Read::Nothing;
  if (received->truncated) {
    hooks_.on_broken("it sent a frame that is longer than the protocol allows");
    return Read::Nothing;
  }
  auto batch = std::make_shared<BusBatch>();
  batch->bytes = std::make_unique_for_overwrite<std::byte[]>(received->length);
  batch->size = received->length;
  std::memcpy(batch->bytes.get(), read_buffer.data(), received->length);
  hooks_.on_frame({std::move(batch), std::move(received->fds), received->fds_lost});
  return Read::Frame;
}

void BusPort::flush() {
  if (ended_) return;
  blocked_ = false;
  while (!blocked_ && has_frames()) blocked_ = !send_frame();
  while (!blocked_ && !replay_rests_ && (!queue_.empty() || !replays_.empty())) {
    if (replay_is_next()) {
      const Replayed replayed = send_replay();
      blocked_ = replayed == Replayed::Blocked;
      replay_rests_ = replayed == Replayed::Rests;
    } else {
      blocked_ = !send_messages();
    }
  }
  const bool was_compact = std::exchange(is_compact_, blocked_ || !replays_.empty());
  if (is_compact_ && !was_compact) queue_.each_run(let_go_of_the_rest);
  watch();
}

bool BusPort::has_frames() {
  if (frames_.empty() && list_) {
    frames_.insert(frames_.end(), list_->begin(), list_->end());
    list_.reset();
  }
  return !frames_.empty();
}

bool BusPort::send_frame() {
  const std::array<std::span<const std::byte>, 1> piece = {frames_.front()};
  if (!send(piece, {})) return false;
  frames_.pop_front();
  return true;
}

bool BusPort::send_dropped(std::uint64_t messages) {
  const std::vector<std::byte> dropped = encode_bus_dropped(messages);
  const std::array<std::span<const std::byte>, 1> piece = {dropped};
  return send(piece, {});
}

bool BusPort::tell_what_was_dropped() {
  if (queue_.untold() == 0) return true;
  if (!send_dropped(queue_.untold())) return false;
  queue_.on_told();
  return true;
}

void BusPort::replay(const std::vector<Retained::Message>& messages, Kept kept) {
  if (messages.empty() && kept == Kept::All) return;
  Replay& replay = replays_.emplace_back(Replay{queue_.next_place(), {}, kept});
  for (const Retained::Message& message : messages) {
    replay.messages.push_back(message.bytes);
    replayed_bytes_ += message.bytes->size();
  }
  for (; replayed_bytes_ > kMaxReplay; replay.messages.pop_front()) {
    replayed_bytes_ -= replay.messages.front()->size();
    queue_.count_dropped(1);
  }
}

bool BusPort::replay_is_next() const { return !replays_.empty() && replays_.front().place <= queue_.oldest_place(); }

BusPort::Replayed BusPort::send_replay() {
  Replay& replay = replays_.front();
  if (replay.kept == Kept::NotAll) {
    if (!send_dropped(0)) return Replayed::Blocked;
    replay.kept = Kept::All;
  }
  if (replay.messages.empty()) {
    replays_.pop_front();
    return Replayed::Frame;
  }
  if (!hooks_.may_work()) return Replayed::Rests;
  if (!tell_what_was_dropped()) return Replayed::Blocked;
  std::array<std::span<const std::byte>, kMaxPieces> pieces;
  std::size_t count = 1;  // the header goes first
  std::size_t bytes = 0;
  for (const Retained::Bytes& message : replay.messages) {
    if (count == kMaxPieces || sizeof(hf_frame_header) + bytes + message->size() > HF_BUS_MAX_FRAME) break;
    pieces[count++] = *message;
    bytes += message->size();
  }
  const hf_frame_header header = bus_messages_header(count - 1, bytes);
  pieces[0] = std::as_bytes(std::span(&header, 1));
  if (!send(std::span(pieces).first(count), {})) return Replayed::Blocked;
  delivered_ += count - 1;
  replayed_bytes_ -= bytes;
  for (std::size_t i = 1; i < count; i++) replay.messages.pop_front();
  hooks_.on_replayed(bytes);
  return Replayed::Frame;
}

bool BusPort::owes_word_of_a_gap() const {
  return std::any_of(replays_.begin(), replays_.end(),
                     [](const Replay& replay) { return replay.kept == Kept::NotAll; });
}

std::uint64_t BusPort::waiting() const {
  std::uint64_t waiting = queue_.messages();
  for (const Replay& replay : replays_) waiting += replay.messages.size();
  return waiting;
}

bool BusPort::send_messages() {
  if (!tell_what_was_dropped()) return false;
  std::array<std::span<const std::byte>, kMaxPieces> pieces;
  std::array<int, HF_BUS_MAX_MEMFDS> fds{};
  std::size_t count = 1;  // the header goes first
  std::size_t fd_count = 0;
  std::size_t bytes = 0;
  std::size_t records = 0;
  queue_.each([&](const auto& item) {
    const BusRun& run = item.run;
    const bool is_behind = !replays_.empty() && item.place >= replays_.front().place;
    const bool full = is_behind || count == kMaxPieces ||
                      sizeof(hf_frame_header) + bytes + run.length > HF_BUS_MAX_FRAME ||
                      (run.memfd && fd_count == fds.size()) || records + run.records > UINT16_MAX;
    if (full) return false;
    pieces[count++] = {run.batch->bytes.get() + run.offset, run.length};
    if (run.memfd) fds[fd_count++] = run.memfd->get();
    bytes += run.length;
    records += run.records;
    return true;
  });
  const hf_frame_header header = bus_messages_header(records, bytes);
  pieces[0] = std::as_bytes(std::span(&header, 1));
  if (!send(std::span(pieces).first(count), std::span(fds).first(fd_count))) return false;
  delivered_ += records;
  for (std::size_t i = 1; i < count; i++) queue_.pop();
  return true;
}

bool BusPort::send(std::span<const std::span<const std::byte>> pieces, std::span<const int> fds) {
  const Result<SendOutcome> outcome = send_gathered(end_, pieces, fds);
  if (outcome && *outcome == SendOutcome::Sent) return true;
  // Of too many descriptors in flight, or of no memory, nobody reports the end: ask again. Who is gone is heard of by reading.
  if (!outcome || *outcome != SendOutcome::WouldBlock) retry_.arm(loop_.now() + kRetryAfter);
  return false;
}

bool BusPort::may_hear() const { return !resting_ && queue_.answers() < kMaxAnswers; }

void BusPort::watch() {
  if (ended_) return;
  if (blocked_) {
    watcher_->watch(may_hear() ? FdWatcher::Interest::Both : FdWatcher::Interest::Writable);
  } else {
    watcher_->watch(may_hear() ? FdWatcher::Interest::Readable : FdWatcher::Interest::None);
  }
}

}  // namespace holdfast
