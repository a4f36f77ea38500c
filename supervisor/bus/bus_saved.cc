// The bus as a value, and made of one.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstddef>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "bus/bus.h"
#include "sys/next_program.h"

namespace holdfast {

namespace {

// More than a supervisor publishes, or calls, between two looks at what it knows.
constexpr std::uint64_t kPublishedUnseen = std::uint64_t{1} << 32;
// Of what waits, and of what is kept; what is more is dropped, and told: the clients of this machine wait meanwhile.
constexpr std::size_t kMostCarried = std::size_t{256} << 20;

// Collects the bytes that go along. Records that several wait for are there once.
class Collected {
 public:
  SavedPiece add(std::span<const std::byte> bytes) {
    const SavedPiece piece{text_.size(), bytes.size()};
    text_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return piece;
  }
  // Nothing: there is no room for more.
  std::optional<SavedPiece> add_if_it_fits(std::span<const std::byte> bytes) {
    if (text_.size() + bytes.size() > kMostCarried) return std::nullopt;
    return add(bytes);
  }
  std::optional<SavedPiece> add(const BusRun& run) {
    const auto [at, is_new] = shared_.try_emplace({run.batch.get(), run.offset}, SavedPiece{});
    if (!is_new) return at->second;
    if (text_.size() + run.length > kMostCarried) {
      shared_.erase(at);
      return std::nullopt;
    }
    at->second = add({run.batch->bytes.get() + run.offset, run.length});
    return at->second;
  }
  [[nodiscard]] Result<UniqueFd> seal() const { return sealed_text(text_); }

 private:
  std::string text_;
  std::map<std::pair<const BusBatch*, std::size_t>, SavedPiece> shared_;
};

SavedMember save_port(const BusPort& port, FdList& fds) {
  SavedMember saved;
  saved.channel = fds.add("bus", port.channel());
  saved.delivered = port.delivered();
  saved.dropped = port.queue().dropped();
  saved.untold = port.queue().untold();
  return saved;
}

struct SaveWaiting {
  SavedMember& saved;
  Collected& bytes;
  FdList& fds;

  void operator()(const BusRun& run) {
    const std::optional<SavedPiece> records = bytes.add(run);
    if (!records) return drop(run.records);
    const std::string memory = run.memfd ? fds.add("memory", *run.memfd) : "";
    saved.waiting.push_back({*records, run.records, memory, run.memory, false});
  }
  void operator()(const Retained::Bytes& record) {
    const std::optional<SavedPiece> piece = bytes.add_if_it_fits(*record);
    if (!piece) return drop(1);
    saved.waiting.push_back({*piece, 1, "", 0, true});
  }

 private:
  void drop(std::uint64_t messages) {
    saved.dropped += messages;
    saved.untold += messages;
  }
};

void save_waiting(const BusPort& port, SavedMember& saved, Collected& bytes, FdList& fds) {
  for (const std::vector<std::byte>& frame : port.frames()) saved.frames.push_back(bytes.add(frame));
  if (port.owes_word_of_a_gap()) saved.frames.push_back(bytes.add(encode_bus_dropped(0)));
  port.each_waiting(SaveWaiting{saved, bytes, fds});
}

}  // namespace

// The bytes that came along, and the memory of large messages, which everybody shares who waits for them.
class SavedMessages {
 public:
  SavedMessages(const std::string& name, FdTable& fds) : fds_(fds) {
    if (name.empty()) return;
    Result<UniqueFd> file = fds.take(name);
    const Result<std::string> text =
        file ? read_sealed_text(*file, kMostCarried * 2) : Result<std::string>(file.error());
    if (!text) {
      spdlog::error("bus: {}: the messages that waited are lost, and their receivers are told", text.error().message());
      return;
    }
    batch_->bytes = std::make_unique_for_overwrite<std::byte[]>(text->size());
    batch_->size = text->size();
    std::copy_n(reinterpret_cast<const std::byte*>(text->data()), text->size(), batch_->bytes.get());
  }

  // Nothing: it did not come along.
  [[nodiscard]] std::optional<std::span<const std::byte>> bytes(const SavedPiece& piece) const {
    const bool is_there = piece.offset <= batch_->size && piece.length <= batch_->size - piece.offset;
    if (!is_there || piece.length == 0) return std::nullopt;
    return std::span<const std::byte>(batch_->bytes.get() + piece.offset, piece.length);
  }
  // At least one record, and no more than a frame has room for.
  [[nodiscard]] std::optional<std::span<const std::byte>> records(const SavedPiece& piece) const {
    const auto found = bytes(piece);
    const bool fits =
        found && found->size() >= sizeof(hf_bus_record) && found->size() <= HF_BUS_MAX_FRAME - sizeof(hf_frame_header);
    return fits ? found : std::nullopt;
  }
  [[nodiscard]] std::optional<BusRun> run(const SavedRun& saved) const {
    if (!records(saved.records) || saved.count == 0 || saved.count > UINT16_MAX) return std::nullopt;
    BusRun run{batch_, saved.records.offset, saved.records.length, static_cast<std::uint16_t>(saved.count), {}, 0};
    if (saved.memory.empty()) return run;
    std::shared_ptr<const UniqueFd>& memory = memories_[saved.memory];
    if (!memory) memory = std::make_shared<const UniqueFd>(fds_.take_if_there(saved.memory));
    if (!*memory) return std::nullopt;
    run.memfd = memory;
    run.memory = saved.memory_size;
    return run;
  }

 private:
  FdTable& fds_;
  std::shared_ptr<BusBatch> batch_ = std::make_shared<BusBatch>();
  mutable std::map<std::string, std::shared_ptr<const UniqueFd>> memories_;
};

Result<SavedBus> Bus::save(FdList& fds, Messages messages) const {
  SavedBus saved;
  saved.node = node_;
  saved.sequence = sequence_;
  saved.last_number = last_number_;
  saved.published = published_;
  saved.undelivered = undelivered_;
  saved.gone_delivered = gone_delivered_;
  saved.gone_dropped = gone_dropped_;
  saved.disconnected = disconnected_;
  Collected bytes;
  for (const auto& [number, member] : members_) {
    if (member.port->has_ended()) {  // its worker is not on the bus any more; what it got stays in the account
      saved.gone_delivered += member.port->delivered();
      saved.gone_dropped += member.port->queue().dropped();
      continue;
    }
    SavedMember& written = saved.members.emplace_back(save_port(*member.port, fds));
    if (messages == Messages::Saved) save_waiting(*member.port, written, bytes, fds);
    written.number = number;
    written.label = member.label;
    written.joined = member.joined;
    written.patterns = subscriptions_.of(number);
    written.published = member.published;
  }
  saved.last_call = calls_.last();
  for (const auto& [id, call] : calls_.all()) {
    saved.calls.push_back({id, call.caller, call.number, call.callee, call.deadline});
  }
  saved.link = fleet_ ? fleet_->save() : link_before_;
  for (const auto& [node, number] : peers_) saved.peers.push_back({node, number});
  if (messages == Messages::Left) return saved;
  if (fleet_) {
    for (const StreamBacklog::Message* const message : fleet_->backlog().messages()) {
      saved.streamed.push_back({message->number, bytes.add(std::as_bytes(std::span(message->bytes)))});
    }
  }
  for (const auto& [topic, message] : retained_.all()) {
    saved.kept.push_back({topic, message.sequence, bytes.add(*message.bytes)});
  }
  for (const auto& [topic, sequence] : retained_.not_kept()) saved.not_kept.push_back({topic, sequence});
  Result<UniqueFd> sealed = bytes.seal();
  if (!sealed) return std::move(sealed).error();
  saved.bytes = fds.keep("messages", *std::move(sealed));
  return saved;
}

void Bus::adopt(const SavedBus& saved, FdTable& fds, After after) {
  silent_ = true;
  if (saved.node == 0) return;  // of a program that knew no bus
  const bool is_exact = after == After::Upgrade;
  if (is_exact) node_ = saved.node;
  sequence_ = saved.sequence + (is_exact ? 0 : kPublishedUnseen);
  last_number_ = saved.last_number;
  published_ = saved.published;
  undelivered_ = saved.undelivered;
  gone_delivered_ = saved.gone_delivered;
  gone_dropped_ = saved.gone_dropped;
  disconnected_ = saved.disconnected;
  adopt_link(saved, after);
  const SavedMessages messages(saved.bytes, fds);
  for (const SavedKept& kept : saved.kept) {
    const auto record = messages.records(kept.record);
    if (!record) continue;
    auto copy = std::make_shared<const std::vector<std::byte>>(record->begin(), record->end());
    retained_.keep(kept.topic, {kept.sequence, std::move(copy)});
  }
  for (const SavedNotKept& not_kept : saved.not_kept) retained_.adopt_not_kept(not_kept.topic, not_kept.sequence);
  if (!is_exact) retained_.adopt_not_kept("", sequence_);
  for (const SavedStreamed& streamed : saved.streamed) {
    const auto bytes = messages.bytes(streamed.bytes);
    if (bytes)
      streamed_before_.emplace_back(streamed.number,
                                    std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size()));
  }
  for (const SavedPeer& peer : saved.peers) peers_[peer.node] = peer.number;
  for (const SavedMember& member : saved.members) adopt_member(member, messages, fds);
  for (auto& [number, member] : members_) {
    member.is_uncertain = !is_exact && !member.joined;
    if (!is_exact && member.joined) member.port->push_frame(encode_bus_welcome(number, node_, sequence_));
  }
  calls_.set_last(saved.last_call + (is_exact ? 0 : kPublishedUnseen));
  for (const SavedCall& call : saved.calls) {
    calls_.adopt(call.id, {call.caller, call.number, call.callee, call.deadline});
  }
}

// After a sudden end the stream is read on from where we know that he was: what our workers miss comes, and what he has read after
// that comes twice. What he has published himself they have had from him.
void Bus::adopt_link(const SavedBus& saved, After after) {
  if (after == After::Upgrade) {
    link_before_ = saved.link;
    if (!saved.link.stream_position.empty()) past_ = FleetStream::Past::Known;
    return;
  }
  link_before_.stream_position = saved.link.stream_position;
  link_before_.stream_missing = saved.link.stream_missing;
  link_before_.stream_heard = saved.link.stream_heard;
  link_before_.stream_heard.push_back({saved.node, std::numeric_limits<std::uint64_t>::max()});
}

void Bus::adopt_member(const SavedMember& saved, const SavedMessages& messages, FdTable& fds) {
  Result<UniqueFd> channel = fds.take(saved.channel);
  if (!channel) {
    spdlog::error("{}: it is not on the bus any more: {}", saved.label, channel.error().message());
    return;
  }
  Member& member = open_port(saved.number, saved.label, *std::move(channel));
  last_number_ = std::max(last_number_, saved.number);
  unclaimed_.insert(saved.number);
  member.joined = saved.joined;
  member.published = saved.published;
  for (const std::string& pattern : saved.patterns) {
    if (is_topic_pattern(pattern) && subscriptions_.add(saved.number, pattern)) member.subscriptions++;
  }
  for (const SavedPiece& piece : saved.frames) {
    if (const auto frame = messages.bytes(piece)) member.port->push_frame({frame->begin(), frame->end()});
  }
  std::uint64_t lost = 0;
  member.port->set_limit({SIZE_MAX, BusFull::DropOldest});  // there was room for it
  std::vector<Retained::Message> replayed;
  const auto go_on_with_the_replay = [&] { member.port->replay(std::exchange(replayed, {}), BusPort::Kept::All); };
  for (const SavedRun& waiting : saved.waiting) {
    if (waiting.is_replayed) {
      const auto record = messages.records(waiting.records);
      if (record)
        replayed.push_back({0, std::make_shared<const std::vector<std::byte>>(record->begin(), record->end())});
      lost += record ? 0 : 1;
      continue;
    }
    go_on_with_the_replay();
    std::optional<BusRun> run = messages.run(waiting);
    if (!run || !member.port->push(*std::move(run))) lost += waiting.count;
  }
  go_on_with_the_replay();
  member.port->set_limit(limit());
  member.port->adopt_counts(saved.delivered, saved.dropped + lost, saved.untold + lost);
}

std::unique_ptr<BusMember> Bus::claim(Number number) {
  if (unclaimed_.erase(number) == 0) return nullptr;
  return std::make_unique<BusMember>(*this, number, UniqueFd());
}

void Bus::resume() {
  silent_ = false;
  for (const Number number : std::exchange(unclaimed_, {})) leave(number);  // their workers did not come along
  for (const auto& [number, member] : members_) touch(number);
  deadline_.arm(calls_.next_deadline());
  on_pools_changed();
}

}  // namespace holdfast
