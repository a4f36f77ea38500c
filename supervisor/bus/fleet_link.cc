#include "bus/fleet_link.h"

#include <fmt/format.h>
#include <hiredis/hiredis.h>
#include <holdfast/bus_channel.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <utility>

#include "core/backoff.h"
#include "core/topic.h"
#include "wire/fleet_beat.h"

namespace holdfast {

namespace {

constexpr Duration kBeat = std::chrono::seconds(2);
constexpr Duration kSilence = 3 * kBeat;                 // after which whoever should beat has gone
constexpr Duration kPatience = std::chrono::seconds(5);  // from the first packet until all connections are ready
constexpr Duration kSettling = std::chrono::seconds(2);  // what the end of the program waits for Redis
// That waits: then Redis takes less than we say, and what comes is not sent. The last one that found room may be large.
constexpr std::size_t kMaxOutgoing = std::size_t{32} << 20;
// That is on its way: enough for a link of 25 MB/s and 10 ms.
constexpr std::size_t kMaxOnWay = std::size_t{256} << 10;
// That has not come back to us: by default Redis cuts off who has 32 MiB to hear.
constexpr std::size_t kMaxUnheard = std::size_t{4} << 20;
constexpr BackoffPolicy kBackoff = {.first = std::chrono::milliseconds(100),
                                    .step = std::chrono::milliseconds(200),
                                    .factor = 2.0,
                                    .limit = std::chrono::seconds(10),
                                    .jitter = 0.5};

double random_fraction() {
  static std::minstd_rand random{std::random_device{}()};
  return std::uniform_real_distribution<double>(0, 1)(random);
}

// Channels are of the whole server: the number of the database keeps apart what keys keep apart by themselves.
std::string name_in(const FleetLink::Settings& settings, std::string_view what) {
  return fmt::format("{}:{}:{}", settings.fleet, settings.url.database, what);
}

// Where one machine is told something.
std::string channel_of(std::string_view channel, std::uint64_t node) {
  return fmt::format("{}:{:016x}", channel, node);
}

}  // namespace

FleetLink::FleetLink(Loop& loop, Settings settings, Hooks hooks)
    : loop_(loop),
      settings_(std::move(settings)),
      hooks_(std::move(hooks)),
      machines_(kSilence),
      channel_(name_in(settings_, "bus")),
      stream_(name_in(settings_, "stream"), settings_.stream_length,
              {.on_message = [this](auto bytes) { on_streamed(bytes); },
               .on_history = [this](auto bytes) { on_history(bytes); },
               .on_history_end = [this] { hooks_.on_history_end(); },
               .on_kept = [this] { finish_settling(); }}),
      settle_timer_(loop, [this] { std::exchange(settled_, nullptr)(); }),
      timer_(loop, [this] { on_due(); }) {
  connect();
}

FleetLink::~FleetLink() = default;

void FleetLink::connect() {
  timer_.arm(loop_.now() + kPatience);
  if (!settings_.url.path.empty()) return connect_to("");
  resolver_ = Resolver::start(loop_, settings_.url.host, [this](const Result<std::string>& address) {
    if (!address) return on_lost(address.error().message());
    connect_to(*address);
  });
}

void FleetLink::connect_to(const std::string& address) {
  ready_ = 0;
  speaks_ = make(address, [this] { on_ready(); });
  listens_ = make(address, [this] {
    listens_->subscribe(channel_);
    listens_->subscribe(channel_of(channel_, settings_.node));
    on_ready();
  });
  if (!settings_.stream.empty()) reads_ = make(address, [this] { on_ready(); });
}

std::unique_ptr<RedisConnection> FleetLink::make(const std::string& address, std::function<void()> on_ready) {
  RedisConnection::Hooks hooks;
  hooks.on_ready = std::move(on_ready);
  hooks.on_lost = [this](const std::string& why) { on_lost(why); };
  hooks.on_message = [this](std::string_view bytes) { on_bytes(bytes); };
  return std::make_unique<RedisConnection>(loop_, settings_.url, address, std::move(hooks));
}

void FleetLink::on_ready() {
  ready_++;
  if (!is_connected()) return;
  spdlog::info("bus: connected to {}", to_text(settings_.url));
  trouble_.clear();
  heard_ = loop_.now();
  if (reads_) stream_.on_connected(*speaks_, *reads_);
  beat();
}

// All connections go; they may be on the stack.
void FleetLink::on_lost(const std::string& why) {
  if (!speaks_ && !listens_ && !resolver_) return;
  if (is_connected()) reconnects_++;
  ready_ = 0;
  stream_.on_lost();
  drop_outgoing();
  failures_++;
  const Duration delay = backoff_delay(kBackoff, failures_, random_fraction());
  trouble_ = why;
  // An outage is told when it begins, and then ever more seldom.
  const bool is_told = (failures_ & (failures_ - 1)) == 0;
  spdlog::log(is_told ? spdlog::level::warn : spdlog::level::debug,
              "bus: no connection to {}: {}: the bus works on this machine alone; next attempt in {} ms",
              to_text(settings_.url), why, std::chrono::duration_cast<std::chrono::milliseconds>(delay).count());
  loop_.defer([speaks = std::shared_ptr<RedisConnection>(std::move(speaks_)),
               listens = std::shared_ptr<RedisConnection>(std::move(listens_)),
               reads = std::shared_ptr<RedisConnection>(std::move(reads_)),
               resolver = std::shared_ptr<Resolver>(std::move(resolver_))] {});
  timer_.arm(loop_.now() + delay);
  if (settled_) settle_timer_.arm(loop_.now());
}

bool FleetLink::is_streamed(std::string_view topic) const {
  return std::any_of(settings_.stream.begin(), settings_.stream.end(),
                     [&](const std::string& pattern) { return topic_matches(pattern, topic); });
}

void FleetLink::publish(std::string_view topic, std::string_view data) {
  FleetMessage message{FleetMessage::Kind::Message, settings_.node, 0, topic, data};
  if (is_streamed(topic)) {
    message.sequence = ++stream_sequence_;
    sent_++;
    unsent_ += stream_.publish(message.sequence, encode(message));
    return;
  }
  message.sequence = ++sequence_;
  if (!has_room()) {
    unsent_++;
    return;
  }
  push({channel_, encode(message), message.sequence});
}

void FleetLink::publish_large(std::string_view topic, SharedMemory memory) {
  const bool goes = !is_streamed(topic);
  const std::uint64_t sequence = ++(goes ? sequence_ : stream_sequence_);
  if (!goes || !has_room()) {
    unsent_++;
    return;
  }
  FleetMessage message{FleetMessage::Kind::Message, settings_.node, sequence, topic};
  message.size = memory.size;
  push({channel_, encode(message), sequence, std::move(memory)});
}

bool FleetLink::tell(std::uint64_t to, FleetMessage message, SharedMemory memory) {
  if (!has_room()) return false;
  message.node = settings_.node;
  message.size = memory.size;
  push({channel_of(channel_, to), encode(message), 0, std::move(memory)});
  return true;
}

bool FleetLink::has_room() const { return is_connected() && outgoing_bytes_ <= kMaxOutgoing; }

void FleetLink::push(Outgoing outgoing) {
  outgoing_bytes_ += outgoing.size();
  outgoing_.push_back(std::move(outgoing));
  send();
}

// A large one stays in front until its last part has gone: what a beat says until then is not that it was said.
void FleetLink::send() {
  while (is_connected() && !outgoing_.empty() && on_way_ < kMaxOnWay && echo_.unheard() < kMaxUnheard) {
    Outgoing& next = outgoing_.front();
    const std::size_t size = next.size();
    const std::optional<std::string> piece = next_piece_of(next);
    if (piece) pass(next.channel, *piece);
    if (piece && next.said < next.memory.size) continue;
    if (next.sequence != 0) (piece ? sent_ : unsent_)++;
    outgoing_bytes_ -= size;
    outgoing_.pop_front();
  }
}

void FleetLink::pass(const std::string& channel, const std::string& bytes) {
  on_way_ += bytes.size();
  if (channel == channel_) echo_.on_said(bytes.size());
  speaks_->command({"PUBLISH", channel, bytes}, [this, size = bytes.size()] {
    on_way_ -= size;
    send();
    finish_settling();
  });
}

// All of it, or a part. Nothing: its memory cannot be read.
std::optional<std::string> FleetLink::next_piece_of(Outgoing& message) {
  if (message.memory.size == 0) return std::move(message.bytes);
  const std::uint32_t size = std::min<std::uint32_t>(message.memory.size - message.said, HF_BUS_MAX_INLINE);
  const Result<std::string> bytes = read_memory(*message.memory.fd, message.said, size);
  if (!bytes) return std::nullopt;
  FleetMessage part = *decode_fleet_message(message.bytes);
  part.offset = message.said;
  part.data = *bytes;
  message.said += size;
  return encode(part);
}

void FleetLink::drop_outgoing() {
  unsent_ = unsent_by_now();
  outgoing_.clear();
  outgoing_bytes_ = on_way_ = 0;
  echo_ = {};
}

std::uint64_t FleetLink::unsent_by_now() const {
  const auto waiting =
      std::count_if(outgoing_.begin(), outgoing_.end(), [](const Outgoing& one) { return one.sequence != 0; });
  return unsent_ + static_cast<std::uint64_t>(waiting);
}

void FleetLink::settle(std::function<void()> done) {
  settled_ = [this, done = std::move(done)] {
    if (const std::uint64_t lost = stream_.waiting(); lost > 0) {
      spdlog::warn("bus: {} messages of the stream are lost: Redis has not said that it keeps them", lost);
    }
    done();
  };
  settle_timer_.arm(loop_.now() + (is_connected() ? kSettling : Duration::zero()));
  finish_settling();
}

void FleetLink::finish_settling() {
  if (settled_ && stream_.waiting() == 0 && outgoing_.empty() && on_way_ == 0) settle_timer_.arm(loop_.now());
}

void FleetLink::emit(std::string_view channel, std::string_view payload, OnEmitted on_emitted) {
  if (!is_connected()) return on_emitted(Error{{}, "Redis is away: " + trouble_});
  const std::array<std::string_view, 3> words = {"PUBLISH", channel, payload};
  speaks_->ask(words, [on_emitted = std::move(on_emitted)](const redisReply& answer) {
    if (answer.type == REDIS_REPLY_INTEGER) return on_emitted(static_cast<std::uint64_t>(answer.integer));
    on_emitted(Error{{}, "Redis said: " + std::string(answer.str, answer.len)});
  });
}

void FleetLink::set_pools(std::vector<FleetPool> pools) {
  if (pools == pools_) return;
  pools_ = std::move(pools);
  if (is_connected()) beat();
}

void FleetLink::on_bytes(std::string_view bytes) {
  const std::optional<FleetMessage> message = decode_fleet_message(bytes);
  if (!message) {
    malformed_++;  // somebody else uses our channel; he may be newer
    return;
  }
  if (message->node == settings_.node) {
    heard_ = loop_.now();
    failures_ = 0;
    message->kind == FleetMessage::Kind::Beat ? echo_.on_beat_heard() : echo_.on_heard(bytes.size());
    return send();  // to no worker of ours
  }
  machines_.on_heard(message->node, loop_.now());
  if (message->kind == FleetMessage::Kind::Beat) return on_beat(*message);
  if (message->is_part()) {
    const std::optional<FleetParts::Whole> whole = parts_.add(*message, loop_.now());
    if (whole) on_heard(*decode_fleet_message(whole->head), whole->memory);
    return;
  }
  on_heard(*message, {});
}

void FleetLink::on_heard(const FleetMessage& message, const SharedMemory& memory) {
  if (message.kind != FleetMessage::Kind::Message) return hooks_.on_addressed(message, memory);
  if (memory.size > 0 && !memory.fd) return;  // missed; the next one tells
  if (!order_.on_message(message.node, message.sequence)) return;
  received_++;
  hooks_.on_message(message, memory);
}

void FleetLink::on_beat(const FleetMessage& heard) {
  order_.on_told_last(heard.node, heard.sequence);
  using enum FleetMachines::News;
  const FleetMachines::News news = machines_.on_beat(heard.node, parse_fleet_machine(heard.data), loop_.now());
  if (news == Nothing) return;
  forget_the_silent();
  hooks_.on_machines();
  if (news == Newcomer && is_connected()) beat();  // it need not wait to know of us
}

std::optional<FleetMessage> FleetLink::streamed_in(std::string_view bytes) {
  std::optional<FleetMessage> message = decode_fleet_message(bytes);
  if (message && message->kind == FleetMessage::Kind::Message && !message->is_part()) return message;
  malformed_++;
  return std::nullopt;
}

void FleetLink::on_streamed(std::string_view bytes) {
  const std::optional<FleetMessage> message = streamed_in(bytes);
  if (!message || message->node == settings_.node) return;
  if (!stream_order_.on_message(message->node, message->sequence)) return;
  received_++;
  hooks_.on_message(*message, {});
}

// Also what our workers have heard already, where we go on with those of a supervisor that was killed: it had kept it.
void FleetLink::on_history(std::string_view bytes) {
  const std::optional<FleetMessage> message = streamed_in(bytes);
  if (!message || message->node == settings_.node) return;
  if (stream_order_.on_message(message->node, message->sequence)) received_++;
  if (!history_order_.on_message(message->node, message->sequence)) return;
  hooks_.on_history(message->topic, message->data, message->node);
}

void FleetLink::on_due() {
  forget_the_silent();
  parts_.forget_the_silent(loop_.now() - kSilence);
  if (!speaks_ && !listens_ && !resolver_) return connect();
  if (!is_connected()) return on_lost("it did not answer within 5 s");
  if (loop_.now() - heard_ > kSilence) return on_lost("it has fallen silent");
  stream_.on_beat();
  beat();
}

void FleetLink::beat() {
  const std::string about = to_json(FleetMachine{settings_.machine, settings_.place, pools_, HF_BUS_MAX_MESSAGE});
  // What waits has not been said yet.
  const auto next =
      std::find_if(outgoing_.begin(), outgoing_.end(), [](const Outgoing& one) { return one.sequence != 0; });
  const std::uint64_t last = next == outgoing_.end() ? sequence_ : next->sequence - 1;
  speaks_->command({"PUBLISH", channel_, encode({FleetMessage::Kind::Beat, settings_.node, last, "", about})});
  echo_.on_beat_said();
  timer_.arm(loop_.now() + kBeat);
}

// While Redis is away nobody is heard, and after a time nobody is there, as far as we know: the keys that belonged to others are
// served here.
void FleetLink::forget_the_silent() {
  const auto gone = machines_.take_gone(loop_.now());
  for (const auto& [node, name] : gone) {
    spdlog::warn("bus: machine {} is not heard any more", name);
    hooks_.on_gone(node);
  }
  if (!gone.empty()) hooks_.on_machines();
}

SavedLink FleetLink::save() const {
  SavedLink saved;
  saved.sequence = sequence_;
  saved.sent = sent_;
  saved.unsent = unsent_by_now();
  saved.received = received_;
  saved.malformed = malformed_;
  saved.reconnects = reconnects_;
  saved.missing = order_.missing();
  for (const auto& [node, sequence] : order_.heard()) saved.heard.push_back({node, sequence});
  saved.stream_sequence = stream_sequence_;
  saved.stream_position = stream_.position();
  saved.stream_missing = stream_order_.missing();
  for (const auto& [node, sequence] : stream_order_.heard()) saved.stream_heard.push_back({node, sequence});
  for (const auto& [node, machine] : machines_.all()) saved.machines.push_back({node, to_json(machine)});
  return saved;
}

void FleetLink::adopt(const SavedLink& saved, FleetStream::Past past) {
  sequence_ = saved.sequence;
  sent_ = saved.sent;
  unsent_ = saved.unsent;
  received_ = saved.received;
  malformed_ = saved.malformed;
  reconnects_ = saved.reconnects;
  const auto heard_in = [](const std::vector<SavedLink::Node>& nodes) {
    std::map<FleetOrder::Node, std::uint64_t> heard;
    for (const SavedLink::Node& node : nodes) heard[node.node] = node.sequence;
    return heard;
  };
  order_.adopt(heard_in(saved.heard), saved.missing);
  stream_sequence_ = saved.stream_sequence;
  stream_order_.adopt(heard_in(saved.stream_heard), saved.stream_missing);
  stream_.adopt(saved.stream_position, past);
  for (const SavedLink::Machine& machine : saved.machines) {
    (void)machines_.on_beat(machine.node, parse_fleet_machine(machine.about), loop_.now());
  }
}

void FleetLink::adopt_waiting(std::uint64_t number, std::string bytes) {
  unsent_ += stream_.publish(number, std::move(bytes));
}

FleetLinkStatus FleetLink::status() const {
  FleetLinkStatus status;
  status.redis = to_text(settings_.url);
  status.trouble = trouble_;
  status.stream_trouble = stream_.trouble();
  status.sent = sent_;
  status.unsent = unsent_;
  status.waiting = stream_.waiting();
  status.received = received_;
  status.missing = order_.missing() + stream_order_.missing();
  status.malformed = malformed_;
  status.reconnects = reconnects_;
  for (const auto& [node, machine] : machines_.all()) status.machines.push_back(machine.name);
  return status;
}

}  // namespace holdfast
