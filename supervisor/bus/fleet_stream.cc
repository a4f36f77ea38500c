#include "bus/fleet_stream.h"

#include <hiredis/hiredis.h>
#include <spdlog/spdlog.h>

#include <array>
#include <utility>

namespace holdfast {

namespace {

constexpr std::string_view kKey = "holdfast:stream";
constexpr std::string_view kField = "m";
constexpr std::string_view kNothing = "0-0";  // the entry before all others
// That Redis does not have yet: what is published in minutes without it.
constexpr std::size_t kMaxBacklog = std::size_t{32} << 20;
constexpr std::string_view kHistory = "1000";  // entries that are read of what was before us
constexpr std::string_view kAtOnce = "500";    // entries in one answer, so that connections do not wait for long

std::string_view text_of(const redisReply& reply) {
  const bool is_text =
      reply.type == REDIS_REPLY_STRING || reply.type == REDIS_REPLY_STATUS || reply.type == REDIS_REPLY_ERROR;
  return is_text ? std::string_view(reply.str, reply.len) : std::string_view();
}

bool is_list(const redisReply& reply, std::size_t elements) {
  return reply.type == REDIS_REPLY_ARRAY && reply.elements == elements;
}

struct Entry {
  std::string_view id;
  std::string_view bytes;
};

// Of another shape: somebody else has written it.
std::optional<Entry> entry_of(const redisReply& reply) {
  if (!is_list(reply, 2)) return std::nullopt;
  const Entry entry{text_of(*reply.element[0]), {}};
  const redisReply& fields = *reply.element[1];
  if (!is_list(fields, 2) || text_of(*fields.element[0]) != kField) return entry;
  return Entry{entry.id, text_of(*fields.element[1])};
}

}  // namespace

FleetStream::FleetStream(unsigned length, Hooks hooks)
    : length_(std::to_string(length)), hooks_(std::move(hooks)), backlog_(kMaxBacklog) {}

std::size_t FleetStream::publish(std::uint64_t number, std::string bytes) {
  const std::size_t gone = backlog_.push(number, std::move(bytes));
  if (speaks_ != nullptr && !is_refused_) send(backlog_.messages().back());
  return gone;
}

void FleetStream::on_connected(RedisConnection& speaks, RedisConnection& reads) {
  speaks_ = &speaks;
  reads_ = &reads;
  sent_ = unanswered_ = 0;
  is_refused_ = false;
  send();
  position_.empty() ? ask_for_history() : read();
}

void FleetStream::on_lost() { speaks_ = reads_ = nullptr; }

void FleetStream::on_beat() {
  if (speaks_ == nullptr || unanswered_ > 0 || !std::exchange(is_refused_, false)) return;
  sent_ = 0;
  send();
}

void FleetStream::send() {
  for (const StreamBacklog::Message& message : backlog_.messages()) {
    if (message.number > sent_) send(message);
  }
}

void FleetStream::send(const StreamBacklog::Message& message) {
  sent_ = message.number;
  unanswered_++;
  const std::array<std::string_view, 8> words = {"XADD", kKey, "MAXLEN", "~", length_, "*", kField, message.bytes};
  speaks_->ask(words, [this, number = message.number](const redisReply& answer) { on_kept(number, answer); });
}

void FleetStream::on_kept(std::uint64_t number, const redisReply& answer) {
  unanswered_--;
  if (answer.type != REDIS_REPLY_ERROR) {
    if (is_refused_) return;  // one before it was not kept: they come again together
    backlog_.on_kept(number);
    if (!trouble_.empty()) spdlog::info("bus: Redis keeps the messages of the stream again");
    trouble_.clear();
    return;
  }
  if (!std::exchange(is_refused_, true) && trouble_.empty()) {
    spdlog::warn("bus: Redis does not keep the messages of the stream: {}: they wait here, and are tried again",
                 text_of(answer));
  }
  trouble_ = text_of(answer);
}

void FleetStream::ask_for_history() {
  const std::array<std::string_view, 6> words = {"XREVRANGE", kKey, "+", "-", "COUNT", kHistory};
  reads_->ask(words, [this](const redisReply& answer) {
    position_ = kNothing;
    for (std::size_t i = answer.type == REDIS_REPLY_ARRAY ? answer.elements : 0; i > 0; i--) {
      const std::optional<Entry> entry = entry_of(*answer.element[i - 1]);
      if (!entry) continue;
      position_ = entry->id;
      hooks_.on_history(entry->bytes);
    }
    read();
  });
}

// Redis answers when there is something.
void FleetStream::read() {
  if (reads_ == nullptr) return;
  const std::array<std::string_view, 8> words = {"XREAD", "COUNT", kAtOnce, "BLOCK", "0", "STREAMS", kKey, position_};
  reads_->ask(words, [this](const redisReply& answer) { on_read(answer); });
}

void FleetStream::on_read(const redisReply& answer) {
  if (answer.type == REDIS_REPLY_ERROR) {
    // Asked again only after the connections have been made anew: it would say the same.
    spdlog::error("bus: Redis does not give us its stream: {}: what others publish there is not heard",
                  text_of(answer));
    trouble_ = text_of(answer);
    return;
  }
  if (is_list(answer, 1) && is_list(*answer.element[0], 2)) {
    const redisReply& entries = *answer.element[0]->element[1];
    for (std::size_t i = 0; i < entries.elements; i++) {
      const std::optional<Entry> entry = entry_of(*entries.element[i]);
      if (!entry) continue;
      position_ = entry->id;
      hooks_.on_message(entry->bytes);
    }
  }
  read();
}

}  // namespace holdfast
