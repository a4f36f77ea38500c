// The bus where several machines share a pool: a key belongs to one slot of all of them, and what is sent to it, or asked, crosses
// over.
#include <algorithm>
#include <cerrno>
#include <utility>

#include "bus/bus.h"
#include "bus/bus_limits.h"

namespace holdfast {

void Bus::connect_fleet(FleetLink::Settings settings) {
  settings.node = node_;
  FleetLink::Hooks hooks;
  hooks.on_message = [this](const FleetMessage& message, const SharedMemory& memory) {
    (void)deliver(message.topic, message.data, message.node, memory);
  };
  hooks.on_history = [this](auto topic, auto data, auto node) { on_history(topic, data, node); };
  hooks.on_history_end = [this] { on_history_end(); };
  hooks.on_addressed = [this](const auto& message, const auto& memory) { on_addressed(message, memory); };
  hooks.on_gone = [this](std::uint64_t node) {
    if (const auto peer = peers_.find(node); peer != peers_.end()) {
      on_callee_gone(peer->second);
      peers_.erase(peer);
    }
  };
  hooks.on_machines = [this] { tell_pools(); };
  if (!settings.stream.empty() && past_ == FleetStream::Past::Wanted) {
    history_ = sequence_;
    history_left_ = FleetStream::kHistory;
    sequence_ += history_left_;
  }
  fleet_ = std::make_unique<FleetLink>(loop_, std::move(settings), std::move(hooks));
  fleet_->adopt(link_before_, past_);
  for (auto& [number, bytes] : std::exchange(streamed_before_, {})) fleet_->adopt_waiting(number, std::move(bytes));
}

// It takes its place before what was published meanwhile.
void Bus::on_history(std::string_view topic, std::string_view data, std::uint64_t node) {
  if (history_left_ == 0) return;
  history_left_--;
  const std::uint64_t sequence = ++history_;
  keep(topic, sequence, encode_bus_record({HF_BUS_PUBLISH, topic, "", data}, {.sequence = sequence, .node = node}));
}

// Whoever has asked before it was there gets it now.
void Bus::on_history_end() {
  history_left_ = 0;
  for (const auto& [asked, after] : std::exchange(historians_, {})) {
    replay(asked.first, asked.second, after, history_, BusPort::Kept::All);
  }
}

void Bus::settle(std::function<void()> done) {
  if (!fleet_) return done();
  fleet_->settle(std::move(done));
}

void Bus::emit(std::string_view channel, std::string_view payload, FleetLink::OnEmitted on_emitted) {
  if (!fleet_) return on_emitted(Error{{}, "this supervisor has no Redis: give it one with --bus-redis"});
  fleet_->emit(channel, payload, std::move(on_emitted));
}

// ---- who is there ----

BusPort::List Bus::list_of_pools() const {
  std::vector<BusPool> pools = pools_;
  if (fleet_) {
    for (const auto& [node, machine] : fleet_->machines().all()) {
      for (const FleetPool& pool : machine.pools) pools.push_back({pool.name, node, pool.serving});
    }
  }
  return std::make_shared<const std::vector<std::vector<std::byte>>>(encode_bus_members(pools));
}

void Bus::tell_pools() {
  if (silent_) return;
  if (fleet_) {
    std::vector<FleetPool> shared;
    for (const BusPool& pool : pools_) {
      if (pool.is_shared) shared.push_back({pool.name, pool.serving});
    }
    fleet_->set_pools(std::move(shared));
  }
  const BusPort::List list = list_of_pools();
  for (auto& [number, member] : members_) {
    if (!member.joined || member.port->has_ended()) continue;
    member.port->set_list(list);
    touch(number);
  }
}

// A pool that machines share has one rule, which every machine applies, also while it is alone: so it makes no difference who asks,
// and a machine that comes takes only its own keys.
BusPlace Bus::place_of(std::string_view pool, std::string_view key) const {
  const auto own = std::find_if(pools_.begin(), pools_.end(), [&](const BusPool& one) { return one.name == pool; });
  const bool is_ours = own != pools_.end();
  if (!fleet_ || (is_ours && !own->is_shared)) return hooks_.place(pool, key);
  std::vector<FleetCandidate> candidates = fleet_->machines().candidates(pool);
  if (is_ours) candidates.push_back({0, fleet_->place(), &own->serving});
  if (candidates.empty()) return {};
  const std::optional<FleetSlot> place = place_in_fleet(key, candidates);
  if (!place) return {.has_pool = true};
  if (place->node != 0) return {.has_pool = true, .away = place};
  return {.has_pool = true, .member = hooks_.member(pool, place->slot)};
}

Bus::Number Bus::peer_of(std::uint64_t node) {
  const auto [at, is_new] = peers_.try_emplace(node, 0);
  if (is_new) at->second = ++last_number_;
  return at->second;
}

std::optional<std::uint64_t> Bus::node_of(Number peer) const {
  const auto at = std::find_if(peers_.begin(), peers_.end(), [&](const auto& one) { return one.second == peer; });
  return at == peers_.end() ? std::nullopt : std::optional(at->first);
}

// ---- there ----

void Bus::send_away(const Arrival& arrival, const BusRecord& record, const FleetSlot& place) {
  if (record.is_large && !fleet_->machines().takes(place.node, record.size)) {
    return refuse(arrival.from, record.call, -EMSGSIZE);
  }
  FleetMessage message{FleetMessage::Kind::Send, 0, record.call, record.name};
  message.data = {reinterpret_cast<const char*>(record.data.data()), record.data.size()};
  message.key = record.key;
  message.slot = place.slot.value;
  message.member = arrival.from;
  if (record.kind == HF_BUS_CALL) {
    if (calls_.size() >= kMaxPendingCalls) return refuse(arrival.from, record.call, -EBUSY);
    const Number peer = peer_of(place.node);
    message.kind = FleetMessage::Kind::Call;
    message.status = record.status;
    message.sequence = calls_.begin({arrival.from, record.call, peer, loop_.now() + patience_of(record.status)});
    if (fleet_->tell(place.node, message, memory_of(arrival, record))) return;
    (void)calls_.take(message.sequence, peer);
    return refuse(arrival.from, record.call, -EHOSTUNREACH);
  }
  if (!fleet_->tell(place.node, message, memory_of(arrival, record))) {
    refuse(arrival.from, record.call, -EHOSTUNREACH);
  }
}

void Bus::answer_away(std::uint64_t node, const PendingCalls::Call& call, const Arrival& arrival,
                      const BusRecord& record) {
  const bool goes = !record.is_large || (fleet_ && fleet_->machines().takes(node, record.size));
  if (!goes) return fail(call, -EMSGSIZE);
  FleetMessage answer{FleetMessage::Kind::Reply, 0, call.number};
  answer.data = {reinterpret_cast<const char*>(record.data.data()), record.data.size()};
  tell_away(node, answer, memory_of(arrival, record));
}

// ---- and here ----

void Bus::on_addressed(const FleetMessage& message, const SharedMemory& memory) {
  using enum FleetMessage::Kind;
  if (message.kind == Send || message.kind == Call) return on_request(message, memory);
  if (message.kind == Reply) return on_answer(message, memory);
  if (message.kind == Returned) refuse(message.member, message.sequence, message.status);
}

void Bus::on_request(const FleetMessage& message, const SharedMemory& memory) {
  if (memory.size > 0 && !memory.fd) return return_to(message, -EMFILE);
  const std::optional<Number> member = hooks_.member(message.topic, SlotId{message.slot});
  if (!hears(member)) return return_to(message, -EHOSTUNREACH);
  BusStamp stamp{.call = message.sequence, .node = message.node};
  const bool is_call = message.kind == FleetMessage::Kind::Call;
  if (is_call) {
    if (calls_.size() >= kMaxPendingCalls) return return_to(message, -EBUSY);
    const Number peer = peer_of(message.node);
    stamp.call = calls_.begin({peer, message.sequence, *member, loop_.now() + patience_of(message.status)});
    deadline_.arm(calls_.next_deadline());
  }
  const std::uint16_t kind = is_call ? HF_BUS_CALL : HF_BUS_SEND;
  push_own(*member, encode_bus_record({kind, message.topic, message.key, message.data, memory.size}, stamp), memory);
}

// It has reached nobody.
void Bus::return_to(const FleetMessage& message, int status) {
  const bool is_call = message.kind == FleetMessage::Kind::Call;
  FleetMessage answer{is_call ? FleetMessage::Kind::Reply : FleetMessage::Kind::Returned, 0, message.sequence};
  answer.member = message.member;
  answer.status = status;
  tell_away(message.node, answer);
}

void Bus::tell_away(std::uint64_t node, const FleetMessage& message, SharedMemory memory) {
  if (fleet_) (void)fleet_->tell(node, message, std::move(memory));
}

void Bus::on_answer(const FleetMessage& message, const SharedMemory& memory) {
  const auto peer = peers_.find(message.node);
  if (peer == peers_.end()) return;
  const std::optional<PendingCalls::Call> call = calls_.take(message.sequence, peer->second);
  if (!call) return;  // too late
  if (message.status != 0) return fail(*call, message.status);
  if (memory.size > 0 && !memory.fd) return fail(*call, -EMFILE);
  push_own(call->caller,
           encode_bus_record({HF_BUS_REPLY, "", "", message.data, memory.size},
                             {.call = call->number, .node = message.node}),
           memory);
}

}  // namespace holdfast
