// The part of the dispatcher that decides where a connection goes.
#include <algorithm>
#include <cstring>
#include <utility>

#include "dispatcher.h"

namespace holdfast {

namespace {

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
  return account.waiting + account.open;
}

}  // namespace

void Dispatcher::arrive(Arrival arrival) {
  const Listener& at = *listeners_[arrival.listener.value];
  Connection connection{std::move(arrival.fd), describe(arrival.remote, at), std::move(arrival.details)};
  ConnectionRecord& record = connection.record;
  if (arrival.is_proxied) record.flags |= HF_RECORD_PROXIED;
  if (arrival.local) {
    const auto local = arrival.local->address.bytes();
    std::memcpy(record.local, local.data(), local.size());
    record.local_port = arrival.local->port;
  }
  record.record_length = static_cast<std::uint16_t>(sizeof record + connection.details.size());
  if (arrival.key) note_key(*arrival.key, hash_key_, record);
  enter(std::move(connection));
}

void Dispatcher::admit(Connection connection, std::optional<SlotId> slot) {
  at_door_--;
  const auto bucket = std::find(routes_.begin(), routes_.end(), slot);
  if (slot && bucket != routes_.end()) connection.record.bucket = static_cast<std::uint16_t>(bucket - routes_.begin());
  if (slot && placer_) note_slot(*slot, connection.record);  // which does not look at buckets
  place(std::move(connection));
  flush();
}

ConnectionRecord Dispatcher::describe(const Endpoint& remote_end, const Listener& listener) {
  ConnectionRecord record{};
  record.record_length = sizeof record;
  record.listener = static_cast<std::uint16_t>(listener.id().value);
  record.family = family_of(remote_end);
  record.bucket = static_cast<std::uint16_t>(bucket_for(remote_end));
  record.id = ++last_connection_;
  record.accepted_ns = static_cast<std::uint64_t>(loop_.now().time_since_epoch().count());
  if (record.family == HF_FAMILY_UNIX) return record;
  const auto remote = remote_end.address.bytes();
  std::memcpy(record.remote, remote.data(), remote.size());
  record.remote_port = remote_end.port;
  // Only what is known without a system call for each connection: a wildcard listener leaves the local address to
  // getsockname.
  const auto& bound = std::get<TcpAddress>(listener.address());
  record.local_port = bound.port;
  if (bound.address != IpAddress{} && bound.family != TcpAddress::Family::DualStack) {
    const auto local = bound.address.bytes();
    std::memcpy(record.local, local.data(), local.size());
  }
  return record;
}

unsigned Dispatcher::bucket_for(const Endpoint& remote) {
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

void Dispatcher::place(Connection connection) {
  if (!passing_) {
    listeners_[connection.record.listener]->count_refusal(Refusal::Stranded);
    return refuse_connection(std::move(connection.fd));
  }
  if (const std::optional<SlotId> slot = slot_with_room(connection.record)) return put(*slot, std::move(connection));
  const bool refuses = pool_.overflow == Overflow::Refuse && routes_[connection.record.bucket];
  if (refuses || is_over_guests_limit(ListenerId{connection.record.listener})) {
    listeners_[connection.record.listener]->count_refusal(Refusal::QueueFull);
    return refuse_connection(std::move(connection.fd));
  }
  unplaced_.push_back(std::move(connection));
  set_pause(Pause::NoRoom);
}

std::optional<SlotId> Dispatcher::slot_with_room(const ConnectionRecord& record) {
  const std::optional<SlotId> tagged = tagged_slot(record);
  if (tagged && tagged->value < table_.slots() && available_[tagged->value]) {
    if (has_room(*tagged)) return tagged;
    if (pool_.overflow != Overflow::Next) return std::nullopt;
  }
  return placer_ ? slot_of_placer_with_room(record) : slot_of_bucket_with_room(record.bucket);
}

std::optional<SlotId> Dispatcher::slot_of_placer_with_room(const ConnectionRecord& record) {
  loads_.assign(table_.slots(), SlotLoad{});
  for (std::uint32_t i = 0; i < table_.slots(); i++) {
    const ConnectionSink* const inbox = slots_[i].inbox;
    if (!available_[i] || inbox == nullptr) continue;
    loads_[i].available = pool_.overflow != Overflow::Next || has_room(SlotId{i});
    loads_[i].connections = static_cast<unsigned>(load_of(*inbox));
  }
  const std::optional<SlotId> slot = placer_->choose(record, loads_);
  return slot && has_room(*slot) ? slot : std::nullopt;
}

// Guests of another pool's listener must not make that wait for this pool, nor pile up here.
bool Dispatcher::is_over_guests_limit(ListenerId listener) const {
  return guests_[listener.value] && unplaced_.size() >= pool_.hold_limit;
}

std::optional<SlotId> Dispatcher::slot_of_bucket_with_room(unsigned bucket) const {
  const std::optional<SlotId> first = routes_[bucket];
  if (!first) return std::nullopt;
  if (has_room(*first)) return first;
  if (pool_.overflow != Overflow::Next) return std::nullopt;
  for (const SlotId slot : table_.preference(bucket)) {
    if (available_[slot.value] && has_room(slot)) return slot;
  }
  return std::nullopt;
}

bool Dispatcher::has_room(SlotId id) const {
  const Slot& slot = slots_[id.value];
  if (slot.inbox == nullptr) return false;
  return slot.inbox->waiting() < (slot.state == SlotState::Serving ? pool_.queue_limit : pool_.hold_limit);
}

void Dispatcher::put(SlotId id, Connection connection) {
  Slot& slot = slots_[id.value];
  slot.inbox->put(std::move(connection));
  if (!std::exchange(slot.touched, true)) touched_.push_back(id);
}

void Dispatcher::place_unplaced() {
  // Each is tried once, in the order of arrival: one that must wait for its own slot does not stop those behind it.
  for (std::size_t tries = unplaced_.size(); tries > 0; tries--) {
    Connection connection = std::move(unplaced_.front());
    unplaced_.pop_front();
    place(std::move(connection));
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
