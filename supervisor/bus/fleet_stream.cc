#include "bus/fleet_stream.h"

#include <hiredis/hiredis.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

namespace holdfast {

namespace {

constexpr std::string_view kField = "m";
constexpr std::string_view kNothing = "0-0";  // the entry before all others
// That Redis does not have yet: what is published in minutes without it.
constexpr std::size_t kMaxBacklog = std::size_t{32} << 20;
// On its way: enough for a link of 25 MB/s and 10 ms, and little enough that a beat behind it comes in time.
constexpr std::size_t kBytesOnWay = std::size_t{256} << 10;
constexpr std::size_t kMessagesOnWay = 1000;
// Of one answer, so that connections do not wait for long. Where messages are large there are fewer in it.
constexpr std::size_t kBytesAtOnce = std::size_t{256} << 10;
constexpr std::size_t kFirstAtOnce = 8;
constexpr std::size_t kMostAtOnce = 500;
constexpr std::size_t kMostOfThePast = std::size_t{16} << 20;  // bytes
constexpr std::string_view kPatience = "5000";                 // milliseconds for which a read waits at Redis

std::string_view text_of(const redisReply& reply) {
  const bool is_text =
      reply.type == REDIS_REPLY_STRING || reply.type == REDIS_REPLY_STATUS || reply.type == REDIS_REPLY_ERROR;
  return is_text ? std::string_view(reply.str, reply.len) : std::string_view();
}

std::span<redisReply* const> elements_of(const redisReply& reply) {
  if (reply.type != REDIS_REPLY_ARRAY) return {};
  return {reply.element, reply.elements};
}

struct Entry {
  std::string_view id;
  std::string_view bytes;
};

// Of another shape: somebody else has written it.
std::optional<Entry> entry_of(const redisReply& reply) {
  const auto parts = elements_of(reply);
  if (parts.size() != 2) return std::nullopt;
  const Entry entry{text_of(*parts[0]), {}};
  const auto fields = elements_of(*parts[1]);
  if (fields.size() != 2 || text_of(*fields[0]) != kField) return entry;
  return Entry{entry.id, text_of(*fields[1])};
}

// "1700000000000-5": the greatest id below this one. Redis understands a range without its end only since 6.2.
std::string before(std::string_view id) {
  const std::size_t dash = id.find('-');
  std::uint64_t time = 0;
  std::uint64_t number = 0;
  (void)std::from_chars(id.data(), id.data() + std::min(dash, id.size()), time);
  if (dash < id.size()) (void)std::from_chars(id.data() + dash + 1, id.data() + id.size(), number);
  if (number > 0) return std::to_string(time) + "-" + std::to_string(number - 1);
  if (time == 0) return std::string(kNothing);
  return std::to_string(time - 1) + "-" + std::to_string(std::numeric_limits<std::uint64_t>::max());
}

}  // namespace

FleetStream::FleetStream(std::string key, unsigned length, Hooks hooks)
    : key_(std::move(key)),
      length_(std::to_string(length)),
      hooks_(std::move(hooks)),
      backlog_(kMaxBacklog),
      at_once_(kFirstAtOnce) {}

void FleetStream::adopt(std::string position, Past past) {
  position_ = std::move(position);
  past_ = position_.empty() ? Past::Wanted : past;
}

std::size_t FleetStream::publish(std::uint64_t number, std::string bytes) {
  const std::size_t gone = backlog_.push(number, std::move(bytes));
  send();
  return gone;
}

void FleetStream::on_connected(RedisConnection& speaks, RedisConnection& reads) {
  speaks_ = &speaks;
  reads_ = &reads;
  is_refused_ = is_hidden_ = false;
  has_transactions_ = true;
  send();
  looked_back_to_.clear();
  found_.clear();
  found_bytes_ = 0;
  past_ == Past::Wanted ? look_back() : read();
}

void FleetStream::on_lost() {
  speaks_ = reads_ = nullptr;
  refusal_.clear();
  backlog_.on_refused();
}

void FleetStream::on_beat() {
  if (std::exchange(is_refused_, false)) send();
  if (std::exchange(is_hidden_, false)) past_ == Past::Wanted ? look_back() : read();
}

std::string FleetStream::trouble() const {
  if (reading_trouble_.empty()) return trouble_;
  return trouble_ + (trouble_.empty() ? "" : "; ") + "it is not read: " + reading_trouble_;
}

// ---- what we publish ----

void FleetStream::send() {
  if (speaks_ == nullptr || is_refused_) return;
  const auto batch = backlog_.begin(kBytesOnWay, has_transactions_ ? kMessagesOnWay : 1);
  if (batch.empty()) return;
  const RedisConnection::OnAnswer last = [this](const redisReply& answer) { on_answered(answer); };
  if (batch.size() == 1) return add(batch.front(), last);
  const std::array<std::string_view, 1> begin = {"MULTI"};
  const std::array<std::string_view, 1> end = {"EXEC"};
  speaks_->ask(begin, [this](const redisReply& answer) {
    has_transactions_ = answer.type != REDIS_REPLY_ERROR;  // not everybody may
    note(answer);
  });
  for (const StreamBacklog::Message& message : batch) {
    add(message, [this](const redisReply& answer) { note(answer); });
  }
  speaks_->ask(end, last);
}

void FleetStream::add(const StreamBacklog::Message& message, RedisConnection::OnAnswer on_answer) {
  const std::array<std::string_view, 8> words = {"XADD", key_, "MAXLEN", "~", length_, "*", kField, message.bytes};
  speaks_->ask(words, std::move(on_answer));
}

// The first refusal of a batch says why; EXEC says only that there was one.
void FleetStream::note(const redisReply& answer) {
  if (answer.type == REDIS_REPLY_ERROR && refusal_.empty()) refusal_ = text_of(answer);
}

void FleetStream::on_answered(const redisReply& answer) {
  note(answer);
  for (const redisReply* const one : elements_of(answer)) note(*one);
  const std::string refusal = std::exchange(refusal_, {});
  if (refusal.empty()) {
    backlog_.on_kept();
    if (!trouble_.empty()) spdlog::info("bus: Redis keeps the messages of the stream again");
    trouble_.clear();
    send();
    return hooks_.on_kept();
  }
  backlog_.on_refused();
  is_refused_ = true;
  if (trouble_.empty()) {
    spdlog::warn("bus: Redis does not keep the messages of the stream: {}: they wait here, and are tried again",
                 refusal);
  }
  trouble_ = refusal;
}

// ---- what others have published ----

// What Redis does not show us is asked for again at a beat: rights may be given, and all else goes on meanwhile.
void FleetStream::ask_to_read(Words words, void (FleetStream::*on_answer)(const redisReply&)) {
  if (reads_ == nullptr) return;
  reads_->ask(words, [this, on_answer](const redisReply& answer) {
    if (answer.type != REDIS_REPLY_ERROR) {
      if (!std::exchange(reading_trouble_, {}).empty()) spdlog::info("bus: Redis shows us its stream again");
      return (this->*on_answer)(answer);
    }
    is_hidden_ = true;
    if (reading_trouble_.empty()) {
      spdlog::error(
          "bus: Redis does not show us its stream: {}: what others publish there is not heard, and asked for again",
          text_of(answer));
    }
    reading_trouble_ = text_of(answer);
  });
}

// From where we were, or from the end, back.
void FleetStream::look_back() {
  const std::string from = !looked_back_to_.empty() ? before(looked_back_to_) : position_.empty() ? "+" : position_;
  const std::string count = std::to_string(std::min(at_once_, kHistory - found_.size()));
  const std::array<std::string_view, 6> words = {"XREVRANGE", key_, from, "-", "COUNT", count};
  ask_to_read(words, &FleetStream::on_past);
}

void FleetStream::on_past(const redisReply& answer) {
  std::size_t bytes = 0;
  for (const redisReply* const element : elements_of(answer)) {
    const std::optional<Entry> entry = entry_of(*element);
    if (!entry) continue;
    looked_back_to_ = entry->id;
    if (found_.empty() && position_.empty()) position_ = entry->id;
    found_.emplace_back(entry->bytes);
    bytes += entry->bytes.size();
  }
  found_bytes_ += bytes;
  const std::size_t count = elements_of(answer).size();
  if (count < at_once_ || found_.size() >= kHistory || found_bytes_ >= kMostOfThePast) return end_past();
  at_once_ = std::clamp(kBytesAtOnce * count / std::max<std::size_t>(bytes, 1), std::size_t{1}, kMostAtOnce);
  look_back();
}

void FleetStream::end_past() {
  past_ = Past::Known;
  if (position_.empty()) position_ = kNothing;
  const std::vector<std::string> found = std::exchange(found_, {});
  std::for_each(found.rbegin(), found.rend(), hooks_.on_history);
  hooks_.on_history_end();
  read();
}

// Redis answers when there is something, or with nothing when its patience ends.
void FleetStream::read() {
  const std::string count = std::to_string(at_once_);
  const std::array<std::string_view, 8> words = {"XREAD",   "COUNT",   count, "BLOCK",
                                                 kPatience, "STREAMS", key_,  position_};
  ask_to_read(words, &FleetStream::on_read);
}

void FleetStream::on_read(const redisReply& answer) {
  const auto streams = elements_of(answer);
  const auto stream = streams.size() == 1 ? elements_of(*streams[0]) : std::span<redisReply* const>();
  const auto entries = stream.size() == 2 ? elements_of(*stream[1]) : std::span<redisReply* const>();
  std::size_t bytes = 0;
  for (const redisReply* const element : entries) {
    const std::optional<Entry> entry = entry_of(*element);
    if (!entry) continue;
    position_ = entry->id;
    bytes += entry->bytes.size();
    hooks_.on_message(entry->bytes);
  }
  if (!entries.empty()) {
    at_once_ = std::clamp(kBytesAtOnce * entries.size() / std::max<std::size_t>(bytes, 1), std::size_t{1}, kMostAtOnce);
  }
  read();
}

}  // namespace holdfast
