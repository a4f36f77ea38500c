#include "bus/bus.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "bus/bus_limits.h"
#include "core/bus_rest.h"
#include "sys/fd_passing.h"
#include "sys/sealed_memory.h"

namespace holdfast {

namespace {

// What a turn of the loop may spend: about 100 us of copying.
constexpr std::size_t kBytesInTurn = std::size_t{1} << 20;
// Of one channel in the kernel: some frames, so that a worker that was late catches up in one go; net.core.wmem_max caps it.
constexpr std::size_t kSendBuffer = std::size_t{1} << 20;
// What is kept for those who were away, all topics together.
constexpr std::size_t kMaxRetained = std::size_t{64} << 20;
// What it costs to find a message that is kept, in bytes of a turn.
constexpr std::size_t kFound = 64;

}  // namespace

BusMember::~BusMember() { bus_.leave(number_); }

void BusMember::on_ended() {
  const auto at = bus_.members_.find(number_);
  if (at != bus_.members_.end()) at->second.port->read_rest();
}

Bus::Bus(Loop& loop, const BusConfig& config, std::uint64_t node, Hooks hooks)
    : loop_(loop),
      config_(config),
      node_(node),
      hooks_(std::move(hooks)),
      credits_(kBytesInTurn),
      retained_(kMaxRetained),
      tails_(loop),
      alive_(std::make_shared<Bus*>(this)),
      deadline_(loop, [this] { expire_calls(); }) {
  retained_.set_rules(config_.retain);
  Result<std::unique_ptr<FineTimer>> timer = FineTimer::create(loop, [this] { go_on(); });
  if (timer) rest_end_ = *std::move(timer);
}

Bus::~Bus() = default;

Result<std::unique_ptr<BusMember>> Bus::join(std::string label) {
  Result<ChannelPair> channel = make_channel(kSendBuffer);
  if (!channel) return std::move(channel).error();
  const Number number = ++last_number_;
  open_port(number, std::move(label), std::move(channel->supervisor_end));
  return std::make_unique<BusMember>(*this, number, std::move(channel->worker_end));
}

Bus::Member& Bus::open_port(Number number, std::string label, UniqueFd end) {
  BusPort::Hooks hooks;
  hooks.may_work = [this, number] {
    if (!rests_ && credits_.may_read(number)) return true;
    resting_.push_back(number);
    schedule();
    return false;
  };
  hooks.on_replayed = [this, number](std::size_t bytes) { credits_.on_delivered(number, bytes); };
  hooks.on_worked = [this](Duration worked) { worked_ += worked; };
  hooks.on_frame = [this, number](BusArrived arrived) { on_frame(number, std::move(arrived)); };
  hooks.on_closed = [this, number] { take_off(number); };
  hooks.on_broken = [this, number](const char* why) { disconnect(number, why); };
  Member& member = members_[number];
  member.label = std::move(label);
  member.port = std::make_unique<BusPort>(loop_, std::move(end), limit(), std::move(hooks));
  return member;
}

BusQueue<BusRun>::Limit Bus::limit() const { return {std::size_t{config_.queue} * 1024, config_.full}; }

void Bus::set_config(const BusConfig& config) {
  config_ = config;
  retained_.set_rules(config_.retain);
  for (auto& [number, member] : members_) member.port->set_limit(limit());
}

void Bus::on_pools_changed() {
  pools_are_stale_ = true;
  schedule();
}

// A slot serves on the bus if its worker is there.
void Bus::refresh_pools() {
  if (silent_) return;  // not all of them are there yet
  if (!std::exchange(pools_are_stale_, false)) return;
  std::vector<BusPool> pools = hooks_.pools();
  for (BusPool& pool : pools) {
    for (std::uint32_t slot = 0; slot < pool.serving.size(); slot++) {
      if (pool.serving[slot]) pool.serving[slot] = hears(hooks_.member(pool.name, SlotId{slot}));
    }
  }
  if (pools == pools_) return;
  pools_ = std::move(pools);
  tell_pools();
}

Result<std::size_t> Bus::publish(std::string_view topic, std::string_view data) {
  if (!is_topic(topic)) {
    return Error{{},
                 "'" + std::string(topic) + "' is no topic: up to 32 segments divided by dots, without * and spaces"};
  }
  if (data.size() > HF_BUS_MAX_INLINE) {
    return Error{{}, "a message from outside has at most " + std::to_string(HF_BUS_MAX_INLINE) + " bytes"};
  }
  published_++;
  if (fleet_) fleet_->publish(topic, data);
  return deliver(topic, data, 0);
}

// A message that no worker of ours has published.
std::size_t Bus::deliver(std::string_view topic, std::string_view data, std::uint64_t node,
                         const SharedMemory& memory) {
  const std::uint64_t sequence = ++sequence_;
  const bool is_large = memory.size > 0;
  const std::vector<std::byte> record =
      encode_bus_record({HF_BUS_PUBLISH, topic, "", data, memory.size}, {.sequence = sequence, .node = node});
  is_large ? retained_.on_not_kept(topic, sequence) : keep(topic, sequence, record);
  tails_.on_message(topic, sequence, data, is_large ? memory.size : data.size());
  const std::span<const Number> found = subscriptions_.find(topic);
  if (found.empty()) return 0;
  const std::vector<Number> targets(found.begin(), found.end());  // one of them may be taken off over it
  const BusRun run = run_of(record, memory);
  for (const Number target : targets) push(target, run);
  return targets.size();
}

// ---- what workers say ----

void Bus::on_frame(Number from, BusArrived arrived) {
  const std::span<const std::byte> bytes(arrived.batch->bytes.get(), arrived.batch->size);
  const Result<BusFrame> frame = decode_bus_frame(bytes);
  Member& member = members_.at(from);
  if (!frame) return disconnect(from, frame.error().message());
  const bool joins = std::holds_alternative<BusJoin>(*frame);
  if (std::exchange(member.is_uncertain, false) && !joins) welcome(from, member);
  if (joins == member.joined) return disconnect(from, joins ? "it said JOIN twice" : "its first frame was not JOIN");
  credits_.on_delivered(from, bytes.size());
  if (joins) {
    welcome(from, member);
  } else if (const auto* subscribed = std::get_if<BusSubscribe>(&*frame)) {
    subscribe(from, *subscribed);
  } else if (const auto* unsubscribed = std::get_if<BusUnsubscribe>(&*frame)) {
    if (subscriptions_.remove(from, unsubscribed->pattern)) member.subscriptions--;
  } else if (const auto* messages = std::get_if<BusMessages>(&*frame)) {
    Arrival arrival{from, std::move(arrived.batch), {}, arrived.fds_lost, 0, 0, {}};
    for (UniqueFd& fd : arrived.fds) arrival.memfds.push_back(std::make_shared<const UniqueFd>(std::move(fd)));
    on_messages(arrival, messages->records);
  }
  schedule();
}

bool Bus::hears(std::optional<Number> number) const {
  const auto at = number ? members_.find(*number) : members_.end();
  return at != members_.end() && at->second.joined && !at->second.port->has_ended();
}

void Bus::welcome(Number number, Member& member) {
  member.joined = true;
  on_pools_changed();
  member.port->push_frame(encode_bus_welcome(number, node_, sequence_));
  member.port->set_list(list_of_pools());
  touch(number);
}

void Bus::subscribe(Number number, const BusSubscribe& wish) {
  Member& member = members_.at(number);
  if (subscriptions_.add(number, wish.pattern)) member.subscriptions++;
  if (member.subscriptions > HF_BUS_MAX_SUBSCRIPTIONS) return disconnect(number, "it has more than 1024 subscriptions");
  if (wish.after == HF_BUS_ONLY_NEW) return;
  if (history_left_ > 0) historians_[{number, std::string(wish.pattern)}] = wish.after;
  // A number that we have not reached is another supervisor's.
  const bool is_all = wish.after == 0 || (wish.after <= sequence_ && retained_.has_all_after(wish.pattern, wish.after));
  replay(number, wish.pattern, wish.after, sequence_, is_all ? BusPort::Kept::All : BusPort::Kept::NotAll);
}

void Bus::replay(Number number, std::string_view pattern, std::uint64_t after, std::uint64_t last, BusPort::Kept all) {
  Member& member = members_.at(number);
  if (member.port->has_ended()) return;
  std::vector<Retained::Message> kept = retained_.after(pattern, after);
  std::erase_if(kept, [&](const Retained::Message& message) { return message.sequence > last; });
  credits_.on_delivered(number, kept.size() * kFound);
  member.port->replay(kept, all);
  touch(number);
}

void Bus::on_messages(Arrival& arrival, const std::vector<BusRecord>& records) {
  // The sender may be taken off meanwhile, because it is too slow: what it has said is heard, up to where it broke the protocol.
  for (const BusRecord& record : records) {
    if (on_record(arrival, record) == Heard::Broken) break;
  }
  close_group(arrival);
  credits_.on_delivered(arrival.from, arrival.delivered);
  deadline_.arm(calls_.next_deadline());
}

Bus::Heard Bus::on_record(Arrival& arrival, const BusRecord& record) {
  if (record.is_large) {
    const bool is_there = arrival.next_memfd < arrival.memfds.size();
    if (!is_there && arrival.fds_lost) {
      drop_large(arrival, record);
      return Heard::Well;
    }
    if (!is_there || !is_sealed_memory(*arrival.memfds[arrival.next_memfd], record.size)) {
      disconnect(arrival.from, "a large message of it is not in sealed memory of its size");
      return Heard::Broken;
    }
  }
  if (record.kind == HF_BUS_PUBLISH) {
    on_publish(arrival, record);
  } else if (record.kind == HF_BUS_SEND || record.kind == HF_BUS_CALL || record.kind == HF_BUS_REPLY) {
    if (const std::optional<Number> target = target_of(arrival, record)) add(arrival, record, {&*target, 1});
  }
  if (record.is_large) arrival.next_memfd++;
  return Heard::Well;
}

// Its memory found no free descriptor here, which is not the sender's fault.
void Bus::drop_large(const Arrival& arrival, const BusRecord& record) {
  if (record.kind != HF_BUS_REPLY) return refuse(arrival.from, record.call, -EMFILE);
  if (const std::optional<PendingCalls::Call> call = calls_.take(record.call, arrival.from)) fail(*call, -EMFILE);
}

SharedMemory Bus::memory_of(const Arrival& arrival, const BusRecord& record) {
  if (!record.is_large) return {};
  return {arrival.memfds[arrival.next_memfd], record.size};
}

void Bus::on_publish(Arrival& arrival, const BusRecord& record) {
  const std::uint64_t sequence = ++sequence_;
  published_++;
  members_.at(arrival.from).published++;
  const std::span<std::byte> bytes(arrival.batch->bytes.get() + record.offset, record.length);
  stamp(bytes, {.publisher = arrival.from, .sequence = sequence});
  if (record.is_large) {
    retained_.on_not_kept(record.name, sequence);
  } else {
    keep(record.name, sequence, bytes);
  }
  if (!tails_.empty() || fleet_) {
    const std::string_view data(reinterpret_cast<const char*>(record.data.data()), record.data.size());
    tails_.on_message(record.name, sequence, data, record.is_large ? record.size : data.size());
    if (fleet_ && record.is_large) fleet_->publish_large(record.name, memory_of(arrival, record));
    if (fleet_ && !record.is_large) fleet_->publish(record.name, data);
  }
  add(arrival, record, subscriptions_.find(record.name));
}

std::optional<Bus::Number> Bus::target_of_reply(const Arrival& arrival, const BusRecord& record) {
  const std::optional<PendingCalls::Call> call = calls_.take(record.call, arrival.from);
  if (!call) return std::nullopt;  // too late
  if (const std::optional<std::uint64_t> node = node_of(call->caller)) {
    answer_away(*node, *call, arrival, record);
    return std::nullopt;
  }
  const std::span<std::byte> bytes(arrival.batch->bytes.get() + record.offset, record.length);
  stamp(bytes, {.publisher = arrival.from, .call = call->number});
  return call->caller;
}

// The one member that it goes to, after it was stamped for it.
std::optional<Bus::Number> Bus::target_of(const Arrival& arrival, const BusRecord& record) {
  if (record.kind == HF_BUS_REPLY) return target_of_reply(arrival, record);
  const BusPlace place = place_of(record.name, record.key);
  if (place.away) {
    send_away(arrival, record, *place.away);
    return std::nullopt;
  }
  if (!hears(place.member)) {
    refuse(arrival.from, record.call, place.has_pool ? -EHOSTUNREACH : -ENOENT);
    return std::nullopt;
  }
  std::uint64_t number = record.call;
  if (record.kind == HF_BUS_CALL) {
    if (calls_.size() >= kMaxPendingCalls) {
      refuse(arrival.from, record.call, -EBUSY);
      return std::nullopt;
    }
    number = calls_.begin({arrival.from, record.call, *place.member, loop_.now() + patience_of(record.status)});
  }
  const std::span<std::byte> bytes(arrival.batch->bytes.get() + record.offset, record.length);
  stamp(bytes, {.publisher = arrival.from, .call = number});
  return place.member;
}

void Bus::add(Arrival& arrival, const BusRecord& record, std::span<const Number> targets) {
  Group& group = arrival.group;
  const bool is_answer = record.kind == HF_BUS_REPLY;
  const bool follows = group.end == record.offset && group.records < UINT16_MAX && !record.is_large &&
                       group.is_of_answers == is_answer &&
                       std::equal(targets.begin(), targets.end(), group.targets.begin(), group.targets.end());
  if (!follows) {
    // To close a group may take somebody off the bus, and with him what the subscriptions found.
    std::vector<Number> wanted(targets.begin(), targets.end());
    close_group(arrival);
    group.targets = std::move(wanted);
    group.begin = record.offset;
    group.is_of_answers = is_answer;
  }
  group.end = record.offset + record.length;
  group.records++;
  if (record.is_large) close_group(arrival, arrival.memfds[arrival.next_memfd], record.size);
}

void Bus::close_group(Arrival& arrival, std::shared_ptr<const UniqueFd> memfd, std::size_t memory) {
  Group& group = arrival.group;
  if (group.records > 0) {
    const std::size_t length = group.end - group.begin;
    for (const Number target : group.targets) {
      push(target, {arrival.batch, group.begin, length, group.records, memfd, memory});
    }
    arrival.delivered += length * group.targets.size() + memory;
  }
  group.records = 0;
  group.end = 0;
}

// ---- what goes to workers ----

void Bus::push(Number to, BusRun run) {
  const auto at = members_.find(to);
  if (at == members_.end() || at->second.port->has_ended()) return;
  if (!at->second.port->push(std::move(run))) return disconnect(to, "it takes its messages too slowly (--bus-full)");
  touch(to);
}

void Bus::push_own(Number to, std::span<const std::byte> record, const SharedMemory& memory) {
  push(to, run_of(record, memory));
}

void Bus::refuse(Number caller, std::uint64_t call, int status) {
  undelivered_++;
  push_own(caller, encode_bus_record({HF_BUS_REPLY, "", "", ""}, {.status = status, .call = call}));
}

void Bus::fail(const PendingCalls::Call& call, int status) {
  if (const std::optional<std::uint64_t> node = node_of(call.caller)) {
    FleetMessage answer{FleetMessage::Kind::Reply, 0, call.number};
    answer.status = status;
    tell_away(*node, answer);
    return;
  }
  if (status != -ETIMEDOUT) undelivered_++;
  push_own(call.caller, encode_bus_record({HF_BUS_REPLY, "", "", ""}, {.status = status, .call = call.number}));
}

void Bus::on_callee_gone(Number number) {
  for (const PendingCalls::Call& call : calls_.on_gone(number)) fail(call, -ECONNRESET);
}

void Bus::keep(std::string_view topic, std::uint64_t sequence, std::span<const std::byte> record) {
  if (config_.retain.empty() || retained_.depth(topic) == 0) return;
  retained_.keep(topic, {sequence, std::make_shared<const std::vector<std::byte>>(record.begin(), record.end())});
}

// ---- members ----

void Bus::disconnect(Number number, const std::string& why) {
  const auto at = members_.find(number);
  if (at == members_.end() || at->second.port->has_ended()) return;
  spdlog::error("{}: taken off the bus: {}; it serves on without it, and nothing is sent to it, until it is restarted",
                at->second.label, why);
  disconnected_++;
  take_off(number);
}

void Bus::take_off(Number number) {
  const auto at = members_.find(number);
  if (at == members_.end() || at->second.port->has_ended()) return;
  at->second.port->end();
  subscriptions_.remove_all(number);
  on_callee_gone(number);
  on_pools_changed();
  // Its end of the channel is closed outside its callback, so that the worker sees it.
  loop_.defer([alive = std::weak_ptr(alive_), number] {
    const std::shared_ptr<Bus*> bus = alive.lock();
    if (!bus) return;
    const auto gone = (*bus)->members_.find(number);
    if (gone != (*bus)->members_.end()) gone->second.port->close();
  });
}

void Bus::leave(Number number) {
  const auto at = members_.find(number);
  if (at == members_.end()) return;
  at->second.port->end();
  gone_delivered_ += at->second.port->delivered();
  gone_dropped_ += at->second.port->queue().dropped();
  subscriptions_.remove_all(number);
  on_callee_gone(number);
  credits_.forget(number);
  std::erase_if(historians_, [&](const auto& one) { return one.first.first == number; });
  members_.erase(number);
}

// ---- turns ----

void Bus::touch(Number number) {
  if (touched_.empty() || touched_.back() != number) touched_.push_back(number);
  schedule();
}

void Bus::schedule() {
  if (std::exchange(scheduled_, true)) return;
  loop_.defer([alive = std::weak_ptr(alive_)] {
    if (const std::shared_ptr<Bus*> bus = alive.lock()) (*bus)->end_turn();
  });
}

void Bus::end_turn() {
  scheduled_ = false;
  const TimePoint begun = std::chrono::steady_clock::now();
  refresh_pools();
  std::vector<Number> touched = std::exchange(touched_, {});
  std::sort(touched.begin(), touched.end());
  touched.erase(std::unique(touched.begin(), touched.end()), touched.end());
  for (const Number number : touched) {
    if (const auto at = members_.find(number); at != members_.end()) at->second.port->flush();
  }
  worked_ += std::chrono::steady_clock::now() - begun;
  if (!rests_) rest();
  if (!rests_) go_on();
}

void Bus::rest() {
  const Duration worked = std::exchange(worked_, {});
  if (!hooks_.last_client || !rest_end_) return;
  const Duration rest = bus_rest(worked, loop_.now() - hooks_.last_client());
  if (rest <= Duration{}) return;
  rests_ = true;
  rest_end_->arm(rest);
}

void Bus::go_on() {
  rests_ = false;
  credits_.on_turn();
  const TimePoint begun = std::chrono::steady_clock::now();
  for (const Number number : std::exchange(resting_, {})) {
    if (const auto at = members_.find(number); at != members_.end()) at->second.port->resume();
  }
  worked_ += std::chrono::steady_clock::now() - begun;
}

void Bus::expire_calls() {
  for (const PendingCalls::Call& call : calls_.expire(loop_.now())) fail(call, -ETIMEDOUT);
  deadline_.arm(calls_.next_deadline());
}

BusStatus Bus::status() const {
  BusStatus status;
  status.node = node_;
  status.published = published_;
  status.delivered = gone_delivered_;
  status.dropped = gone_dropped_;
  status.undelivered = undelivered_;
  status.disconnected = disconnected_;
  status.subscriptions = subscriptions_.size();
  status.calls = calls_.size();
  status.retained = retained_.messages();
  for (const auto& [number, member] : members_) {
    status.delivered += member.port->delivered();
    status.dropped += member.port->queue().dropped();
    if (!member.joined) continue;
    status.members.push_back({member.label, member.subscriptions, member.published, member.port->delivered(),
                              member.port->queue().dropped(), member.port->waiting(), member.port->has_ended()});
  }
  if (fleet_) status.fleet = fleet_->status();
  return status;
}

}  // namespace holdfast
