// The part of the dispatcher that decides where a connection goes.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "dispatcher.h"

namespace holdfast {

namespace {

// Between two looks at the pages of workers that have as many connections as they may have: short beside what a connection lives.
constexpr Duration kLookForClosed = std::chrono::milliseconds(10);

std::uint16_t family_of(const Endpoint& endpoint) {
  switch (endpoint.family) {
    case Endpoint::Family::V4:
      return HF_FAMILY_IPV4;
    case Endpoint::Family::V6:
      return HF_FAMILY_IPV6;
    case Endpoint::Family::Unix:
      break;
  }
  return HF_FAMILY_UNIX;
}

std::uint64_t load_of(const ConnectionSink& inbox) {
  const ConnectionSink::Account account = inbox.account();
  return ConnectionSink::queued(account) + account.open;
}

// Tells the clients of a bucket apart: by their address and what else they are placed by.
std::uint32_t identity_of(const ConnectionRecord& record) {
  std::array<std::uint32_t, 4> words;
  static_assert(sizeof words == sizeof record.remote);
  std::memcpy(words.data(), record.remote, sizeof words);
  auto identity = static_cast<std::uint32_t>(record.reserved);
  for (const std::uint32_t word : words) identity = mix(identity ^ word);
  return identity;
}

}  // namespace

Connection Dispatcher::described(Arrival arrival) const {
  const ConnectionRecord record = describe(arrival);
  return Connection{std::move(arrival.fd), record, std::move(arrival.details)};
}

void Dispatcher::admit(Connection connection, std::optional<SlotId> slot) {
  at_door_--;
  const auto bucket = std::find(routes_.begin(), routes_.end(), slot);
  if (slot && bucket != routes_.end()) connection.record.bucket = static_cast<std::uint16_t>(bucket - routes_.begin());
  if (slot && placer_) note_slot(*slot, connection.record);  // which does not look at buckets
  place_in_turn(std::move(connection));
  flush();
}

Dispatcher::Prospect Dispatcher::prospect(const Arrival& arrival) const {
  const ConnectionRecord record = describe(arrival);
  Prospect prospect;
  prospect.bucket = record.bucket;
  prospect.hash = noted_hash(record).value_or(hash(arrival.remote.address));
  const std::optional<SlotId> tagged = tagged_slot(record);
  if (tagged && tagged->value < table_.slots() && available_[tagged->value]) {
    prospect.by = Prospect::By::Tag;
    prospect.slot = tagged;
    prospect.preference = {*tagged};
  } else if (!placer_) {
    prospect.slot = routes_[record.bucket];
    prospect.preference = table_.preference(record.bucket);
  } else {
    Placer placer(*placer_);
    std::vector<SlotLoad> loads;
    read_loads(loads, tried_at(arrival.listener));
    prospect.by = is_by_key(pool_.placement) ? Prospect::By::Key : Prospect::By::Load;
    if (prospect.by == Prospect::By::Key) prospect.preference = placer.preference(record);
    prospect.slot = choose(placer, record, loads);
  }
  return prospect;
}

ConnectionRecord Dispatcher::describe(const Arrival& arrival) const {
  ConnectionRecord record = describe(arrival.remote, arrival.listener);
  if (arrival.is_proxied) record.flags |= HF_RECORD_PROXIED;
  if (arrival.local) {
    const auto local = arrival.local->address.bytes();
    std::memcpy(record.local, local.data(), local.size());
    record.local_port = arrival.local->port;
  }
  record.record_length = static_cast<std::uint16_t>(sizeof record + arrival.details.size());
  if (arrival.key) note_key(*arrival.key, hash_key_, record);
  return record;
}

ConnectionRecord Dispatcher::describe(const Endpoint& remote_end, ListenerId listener) const {
  ConnectionRecord record{};
  record.record_length = sizeof record;
  record.listener = static_cast<std::uint16_t>(listener.value);
  record.family = family_of(remote_end);
  record.bucket = static_cast<std::uint16_t>(bucket_for(remote_end));
  record.accepted_ns = static_cast<std::uint64_t>(loop_.now().time_since_epoch().count());
  if (record.family == HF_FAMILY_UNIX) return record;
  const auto remote = remote_end.address.bytes();
  std::memcpy(record.remote, remote.data(), remote.size());
  record.remote_port = remote_end.port;
  // Only what is known without a system call for each connection: a wildcard listener leaves the local address to
  // getsockname. A Unix path has none; who comes by it from an address was named by a PROXY header.
  const bool is_ours = listener.value < listeners_.size();
  const auto* const bound = is_ours ? std::get_if<TcpAddress>(&listeners_[listener.value]->address()) : nullptr;
  if (bound == nullptr) return record;
  record.local_port = bound->port;
  if (bound->address != IpAddress{} && bound->family != TcpAddress::Family::DualStack) {
    const auto local = bound->address.bytes();
    std::memcpy(record.local, local.data(), local.size());
  }
  return record;
}

unsigned Dispatcher::bucket_for(const Endpoint& remote) const {
  if (remote.family != Endpoint::Family::Unix) return bucket_of(hash(remote.address));
  // A client on a Unix path has no address: any bucket of the least loaded slot will do.
  std::optional<SlotId> least;
  std::uint64_t least_load = 0;
  for (std::uint32_t i = 0; i < table_.slots(); i++) {
    if (!available_[i] || slots_[i].inbox == nullptr) continue;
    const std::uint64_t load = load_of(*slots_[i].inbox);
    if (!least || load < least_load) {
      least = SlotId{i};
      least_load = load;
    }
  }
  for (unsigned bucket = 0; least && bucket < kBuckets; bucket++) {
    if (routes_[bucket] == least) return bucket;
  }
  return 0;
}

void Dispatcher::enter(Connection connection) {
  recent_clients_.on_client(connection.record.bucket, identity_of(connection.record), loop_.now());
  connection.record.id = ++last_connection_;
  if (!is_spread(connection.record) && heavy_.on_connection(connection.record.bucket)) report_heavy(connection.record);
  if (session_door_ && session_door_(connection)) {
    at_door_++;
  } else {
    place_in_turn(std::move(connection));
  }
}

// Who waits for a place among all has come first.
void Dispatcher::place_in_turn(Connection connection) {
  const ListenerId listener{connection.record.listener};
  const bool is_held = pool_.max_connections != 0 && !tried_at(listener).contains(Limit::Connections);
  if (is_held && !unplaced_.empty()) return wait_for_close(std::move(connection));
  place(std::move(connection));
}

void Dispatcher::place(Connection connection) {
  if (!passing_) {
    listeners_[connection.record.listener]->count_refusal(Refusal::Stranded);
    return refuse_connection(std::move(connection.fd));
  }
  const ListenerId listener{connection.record.listener};
  const LimitSet tried = tried_at(listener);
  if (const std::optional<SlotId> slot = slot_with_room(connection.record, tried)) {
    if (!tried.empty()) count_tried(listener, *slot);
    return put(*slot, std::move(connection));
  }
  const bool waits_for_all = !tried.contains(Limit::Connections) && is_at_limit();
  const bool refuses = pool_.overflow == Overflow::Refuse && routes_[connection.record.bucket] && !waits_for_all;
  if (refuses || is_over_guests_limit(listener)) return refuse_politely(std::move(connection), Refusal::QueueFull);
  if (pool_.bounds_connections()) return wait_for_close(std::move(connection));
  unplaced_.push_back(std::move(connection));
  set_pause(Pause::NoRoom);
}

LimitSet Dispatcher::tried_at(ListenerId listener) const {
  return listener.value < dry_runs_.size() ? pool_.dry_run | dry_runs_[listener.value].limits : pool_.dry_run;
}

// Of one that is given to this slot.
void Dispatcher::count_tried(ListenerId listener, SlotId slot) const {
  const DryRun& dry_run = dry_runs_[listener.value];
  if (!dry_run.count) return;
  const LimitSet tried = tried_at(listener);
  if (tried.contains(Limit::Connections) && is_at_limit()) dry_run.count(Limit::Connections);
  if (tried.contains(Limit::SlotConnections) && is_at_limit(slots_[slot.value])) dry_run.count(Limit::SlotConnections);
}

// Whether all slots together have as many as they may have. What stands in the way may have been closed long ago.
bool Dispatcher::is_at_limit() const {
  if (pool_.max_connections == 0 || load() < pool_.max_connections) return false;
  for (const Slot& slot : slots_) {
    if (slot.inbox != nullptr) slot.inbox->recount_open();
  }
  return load() >= pool_.max_connections;
}

bool Dispatcher::is_at_limit(const Slot& slot) const {
  if (pool_.max_slot_connections == 0 || load_of(*slot.inbox) < pool_.max_slot_connections) return false;
  slot.inbox->recount_open();
  return load_of(*slot.inbox) >= pool_.max_slot_connections;
}

std::uint64_t Dispatcher::load() const {
  std::uint64_t sum = 0;
  for (const Slot& slot : slots_) sum += slot.inbox == nullptr ? 0 : load_of(*slot.inbox);
  return sum;
}

void Dispatcher::wait_for_close(Connection connection) {
  if (unplaced_.size() >= pool_.wait_limit) return refuse_politely(std::move(connection), Refusal::Connections);
  if (unplaced_.empty()) closed_.arm(loop_.now() + kLookForClosed);
  unplaced_.push_back(std::move(connection));
}

void Dispatcher::look_for_closed() {
  const auto is_over = [&](const Connection& connection) {
    const TimePoint accepted{Duration(static_cast<Duration::rep>(connection.record.accepted_ns))};
    return loop_.now() - accepted >= pool_.wait_timeout;
  };
  on_room();
  for (std::size_t left = unplaced_.size(); left > 0; left--) {
    Connection connection = std::move(unplaced_.front());
    unplaced_.pop_front();
    if (is_over(connection)) {
      refuse_politely(std::move(connection), Refusal::Connections);
    } else {
      unplaced_.push_back(std::move(connection));
    }
  }
  if (!unplaced_.empty() && pool_.bounds_connections()) closed_.arm(loop_.now() + kLookForClosed);
}

void Dispatcher::refuse_politely(Connection connection, Refusal refusal) {
  listeners_[connection.record.listener]->count_refusal(refusal);
  const Refuser& refuser = refusers_[connection.record.listener];
  if (refuser) return refuser(std::move(connection.fd), refusal);
  refuse_connection(std::move(connection.fd));
}

std::optional<SlotId> Dispatcher::slot_with_room(const ConnectionRecord& record, LimitSet tried) {
  if (!tried.contains(Limit::Connections) && is_at_limit()) return std::nullopt;
  const std::optional<SlotId> tagged = tagged_slot(record);
  if (tagged && tagged->value < table_.slots() && available_[tagged->value]) {
    if (has_room(*tagged, tried)) return tagged;
    if (pool_.overflow != Overflow::Next) return std::nullopt;
  }
  return placer_ ? slot_of_placer_with_room(record, tried) : slot_of_bucket_with_room(record.bucket, tried);
}

std::optional<SlotId> Dispatcher::slot_of_placer_with_room(const ConnectionRecord& record, LimitSet tried) {
  read_loads(loads_, tried);
  const std::optional<SlotId> slot = choose(*placer_, record, loads_);
  return slot && has_room(*slot, tried) ? slot : std::nullopt;
}

// Under balance-factor a key that has a connection stays where it is, so it must be known which have.
void Dispatcher::watch_holders() {
  if (!placer_ || pool_.balance_factor == 0 || held_) return;
  Result<std::unique_ptr<Census>> census = Census::create(hash_key_, [](const Census::Connection&) {});
  if (census) {
    held_ = *std::move(census);
  } else {
    spdlog::error("pool {}: {}; balance-factor will move keys that have connections", pool_.name,
                  census.error().message());
  }
}

std::optional<SlotId> Dispatcher::choose(Placer& placer, const ConnectionRecord& record,
                                         std::span<const SlotLoad> loads) const {
  const std::optional<SlotId> chosen = placer.choose(record, loads);
  const std::optional<SlotId> holder = holder_of(record, chosen);
  return holder ? placer.choose(record, loads, holder) : chosen;
}

// Of a key that would go elsewhere than where it is thought to be: is it there still? Others are asked nothing.
std::optional<SlotId> Dispatcher::holder_of(const ConnectionRecord& record, std::optional<SlotId> chosen) const {
  const std::optional<std::uint32_t> key = held_ ? placer_->key_hash(record) : std::nullopt;
  if (!key) return std::nullopt;
  const std::optional<Census::Connection> remembered = held_->one_of(*key);
  if (!remembered || (chosen && remembered->note == chosen->value)) return std::nullopt;
  const std::optional<Census::Connection> held = held_->open_one_of(*key);
  return held ? std::optional(SlotId{static_cast<std::uint32_t>(held->note)}) : std::nullopt;
}

void Dispatcher::note_holder(SlotId slot, const Connection& connection) {
  const std::optional<std::uint32_t> key = held_ ? placer_->key_hash(connection.record) : std::nullopt;
  if (key) held_->add(connection.fd, *key, slot.value);
}

void Dispatcher::read_loads(std::vector<SlotLoad>& loads, LimitSet tried) const {
  loads.assign(table_.slots(), SlotLoad{});
  for (const Slot& slot : slots_) {
    if (slot.inbox != nullptr) slot.inbox->recount_open();
  }
  for (std::uint32_t i = 0; i < table_.slots(); i++) {
    const ConnectionSink* const inbox = slots_[i].inbox;
    if (!available_[i] || inbox == nullptr) continue;
    loads[i].available = pool_.overflow != Overflow::Next || has_room(SlotId{i}, tried);
    loads[i].connections = static_cast<unsigned>(load_of(*inbox));
    loads[i].tenths = tenths_of(slots_[i]);
  }
}

// By key a worker that succeeds another one has its keys at once: they were the slot's all the time.
unsigned Dispatcher::tenths_of(const Slot& slot) const {
  const std::optional<TimePoint> since = is_by_key(pool_.placement) ? slot.keys_since : slot.serving_since;
  return tenths_in_slow_start(since ? loop_.now() - *since : pool_.slow_start, pool_.slow_start);
}

// Guests of another pool's listener must not make that wait for this pool, nor pile up here.
bool Dispatcher::is_over_guests_limit(ListenerId listener) const {
  return guests_[listener.value] && unplaced_.size() >= pool_.hold_limit;
}

std::optional<SlotId> Dispatcher::slot_of_bucket_with_room(unsigned bucket, LimitSet tried) const {
  const std::optional<SlotId> first = routes_[bucket];
  if (!first) return std::nullopt;
  if (has_room(*first, tried)) return first;
  if (pool_.overflow != Overflow::Next) return std::nullopt;
  for (const SlotId slot : table_.preference(bucket)) {
    if (available_[slot.value] && has_room(slot, tried)) return slot;
  }
  return std::nullopt;
}

bool Dispatcher::has_room(SlotId id, LimitSet tried) const {
  const Slot& slot = slots_[id.value];
  if (slot.inbox == nullptr) return false;
  if (!tried.contains(Limit::SlotConnections) && is_at_limit(slot)) return false;
  const ConnectionSink::Account account = slot.inbox->account();
  return ConnectionSink::queued(account) < (slot.state == SlotState::Serving ? pool_.queue_limit : pool_.hold_limit);
}

// Whether no key makes one slot heavy with such connections.
bool Dispatcher::is_spread(const ConnectionRecord& record) const {
  if (table_.slots() == 1 || !is_by_key(pool_.placement) || pool_.balance_factor != 0) return true;
  return tagged_slot(record) || record.family == HF_FAMILY_UNIX || (record.flags & HF_CONNECTION_CHECK) != 0;
}

// Who it is stands in the log once: what follows from it goes on until somebody chooses otherwise.
void Dispatcher::report_heavy(const ConnectionRecord& record) const {
  spdlog::warn(
      "pool {}: more than 30 % of the last {} connections have one key (bucket {}, the last one from {}), and all of "
      "them go to one "
      "slot. If that is a proxy, have it write a PROXY header (proxy-protocol); if many clients share the address, "
      "place them "
      "by something of their own (key); else bound the slot (balance-factor): holdfast.toml(5)",
      pool_.name, HeavyBuckets::kRound, record.bucket, remote_of(record).text());
}

void Dispatcher::put(SlotId id, Connection connection) {
  note_holder(id, connection);
  Slot& slot = slots_[id.value];
  slot.inbox->put(std::move(connection));
  if (!std::exchange(slot.touched, true)) touched_.push_back(id);
}

void Dispatcher::place_unplaced() {
  const bool is_full = is_at_limit();
  // Each is tried once, in the order of arrival: one that must wait for its own slot does not stop those behind it.
  for (std::size_t tries = unplaced_.size(); tries > 0; tries--) {
    Connection connection = std::move(unplaced_.front());
    unplaced_.pop_front();
    const bool is_held = is_full && !tried_at(ListenerId{connection.record.listener}).contains(Limit::Connections);
    if (is_held) {
      unplaced_.push_back(std::move(connection));
    } else {
      place(std::move(connection));
    }
  }
  if (unplaced_.empty() && pause_ == Pause::NoRoom) set_pause(Pause::No);
}

void Dispatcher::rebuild_routes() {
  const unsigned group = kBuckets / resolution_;
  const std::vector<bool> available(available_.begin(), available_.begin() + table_.slots());
  for (unsigned bucket = 0; bucket < kBuckets; bucket++) {
    routes_[bucket] = bucket % group == 0 ? table_.route(bucket, available) : routes_[bucket - bucket % group];
  }
}

}  // namespace holdfast
