#include "dispatcher.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

namespace holdfast {

namespace {

// A turn ends after so many connections even if more wait: signals, exits and the control socket get their turn.
constexpr std::size_t kAcceptsPerTurn = 512;
// How long accepting pauses when this process is out of descriptors: short enough for a client, long enough not to
// spin.
constexpr Duration kDescriptorPause = std::chrono::milliseconds(100);
constexpr int kMostInBacklog = 65536;
// accept4 fails for reasons of one connection, and then the next is tried. What fails so often is no such reason: a
// security module, for one, refuses without taking the connection off the queue.
constexpr int kErrorsInARow = 64;
constexpr Duration kDescriptorLogPeriod = std::chrono::seconds(10);

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

Dispatcher::Dispatcher(Loop& loop, const PoolConfig& pool, HashKey hash_key, const BucketTable& table)
    : loop_(loop),
      pool_(pool),
      hash_key_(hash_key),
      table_(table),
      slots_(table.slots()),
      available_(table.slots(), true),
      resume_(loop, [this] {
        if (pause_ == Pause::NoDescriptors) set_pause(Pause::No);
      }) {
  Result<std::unique_ptr<FineTimer>> tick = FineTimer::create(loop, [this] { on_tick(); });
  if (tick) tick_ = *std::move(tick);
  rebuild_routes();
}

void Dispatcher::add_listener(std::string name, ListeningSocket socket) {
  const ListenerId id = next_listener();
  listeners_.push_back(std::make_unique<Listener>(loop_, id, std::move(name), std::move(socket),
                                                  [this](Listener& listener) { on_connections(listener); }));
}

void Dispatcher::serve_listener(ListenerId listener) {
  listeners_[listener.value]->set_stage(Listener::Stage::Serving);
  watch_listeners();
}

void Dispatcher::refuse_at_listener(ListenerId listener) {
  listeners_[listener.value]->set_stage(Listener::Stage::Leaving);
  watch_listeners();
}

void Dispatcher::revive_listener(ListenerId listener) {
  listeners_[listener.value]->set_stage(Listener::Stage::Coming);
  watch_listeners();
}

void Dispatcher::remove_listener(ListenerId id) {
  Listener& listener = *listeners_[id.value];
  if (listener.is_open()) accept_rest(listener);
  listener.close();
  listener.set_stage(Listener::Stage::Gone);
  flush();
}

void Dispatcher::start() {
  started_ = true;
  for (const std::unique_ptr<Listener>& listener : listeners_) {
    if (listener->stage() == Listener::Stage::Coming) listener->set_stage(Listener::Stage::Serving);
  }
  watch_listeners();
}

void Dispatcher::close_listeners() {
  started_ = false;
  resume_.disarm();
  watch_listeners();
  for (const std::unique_ptr<Listener>& listener : listeners_) {
    if (!listener->is_open()) continue;
    accept_rest(*listener);
    listener->close();
  }
  flush();
  refuse_unplaced();
}

// Those clients are connected as far as they know: closing the socket first would reset them, unless somebody else keeps it
// open for whoever is started next.
// Bounded by what the backlog can hold: new clients must not keep us from going on.
void Dispatcher::accept_rest(Listener& listener) {
  const int most = listener.owner() == SocketOwner::Us ? kMostInBacklog : 0;
  for (int i = 0; i < most && accept_one(listener) == Accepted::One; i++) continue;
}

void Dispatcher::refuse_unplaced() {
  std::vector<Connection> connections;
  std::move(unplaced_.begin(), unplaced_.end(), std::back_inserter(connections));
  unplaced_.clear();
  refuse(std::move(connections), Refusal::Stopping);
}

void Dispatcher::resize(unsigned slots) {
  slots_.resize(slots);
  available_.resize(slots, true);
}

void Dispatcher::set_table(const BucketTable& table) {
  table_ = table;
  rebuild_routes();
  on_room();
}

void Dispatcher::set_inbox(SlotId slot, ConnectionSink* inbox) {
  slots_[slot.value].inbox = inbox;
  if (inbox != nullptr) inbox->want_room(pause_ == Pause::NoRoom);
}

void Dispatcher::set_state(SlotId slot, SlotState state) {
  slots_[slot.value].state = state;
  available_[slot.value] = state != SlotState::Lent;
  rebuild_routes();
  on_room();
}

void Dispatcher::redispatch(std::vector<Connection> connections) {
  for (Connection& connection : connections) {
    if (connection.fd) {
      place(std::move(connection));
    } else {
      listeners_[connection.record.listener]->count_refusal(Refusal::Lost);
    }
  }
  flush();
}

void Dispatcher::adopt(ListenerId listener, AcceptedConnection connection) {
  Listener& at = *listeners_[listener.value];
  at.count_adopted();
  take(at, std::move(connection));
}

void Dispatcher::take(Listener& listener, AcceptedConnection connection) {
  if (listener.stage() == Listener::Stage::Serving) {
    const ConnectionRecord record = describe(connection, listener);
    Connection described{std::move(connection.fd), record};
    if (door_ && door_(described)) {
      at_door_++;
      return;
    }
    return place(std::move(described));
  }
  listener.count_refusal(Refusal::Removed);
  refuse_connection(std::move(connection.fd));
}

void Dispatcher::admit(Connection connection, std::optional<SlotId> slot) {
  at_door_--;
  const auto bucket = std::find(routes_.begin(), routes_.end(), slot);
  if (slot && bucket != routes_.end()) connection.record.bucket = static_cast<std::uint16_t>(bucket - routes_.begin());
  place(std::move(connection));
  flush();
}

void Dispatcher::set_resolution(unsigned buckets) {
  resolution_ = buckets;
  rebuild_routes();
}

void Dispatcher::on_room() {
  if (unplaced_.empty()) return;
  place_unplaced();
  flush();
}

void Dispatcher::refuse(std::vector<Connection> connections, Refusal refusal) {
  for (Connection& connection : connections) {
    listeners_[connection.record.listener]->count_refusal(connection.fd ? refusal : Refusal::Lost);
    if (connection.fd) refuse_connection(std::move(connection.fd));
  }
}

std::string Dispatcher::pause_reason() const {
  switch (pause_) {
    case Pause::No:
      return {};
    case Pause::NoRoom:
      return "no slot has room";
    case Pause::NoDescriptors:
      break;
  }
  return descriptor_pause_reason_;
}

std::uint32_t Dispatcher::hash(const IpAddress& address) const {
  return hash_address(address, pool_.prefix, hash_key_);
}

std::optional<SlotId> Dispatcher::serving_slot(unsigned bucket) const { return routes_[bucket]; }

unsigned Dispatcher::served_buckets(SlotId slot) const {
  return static_cast<unsigned>(std::count(routes_.begin(), routes_.end(), slot));
}

std::uint64_t Dispatcher::accepted() const {
  std::uint64_t sum = 0;
  for (const std::unique_ptr<Listener>& listener : listeners_) sum += listener->accepted();
  return sum;
}

void Dispatcher::on_connections(Listener& listener) { end_turn(accept_from(listener)); }

void Dispatcher::on_tick() {
  std::size_t accepted = 0;
  for (const std::unique_ptr<Listener>& listener : listeners_) accepted += accept_from(*listener);
  end_turn(accepted);
}

std::size_t Dispatcher::accept_from(Listener& listener) {
  if (!listener.is_open() || listener.stage() == Listener::Stage::Coming) return 0;
  std::size_t accepted = 0;
  while (accepted < kAcceptsPerTurn && started_ && pause_ == Pause::No && accept_one(listener) == Accepted::One)
    accepted++;
  return accepted;
}

Dispatcher::Accepted Dispatcher::accept_one(Listener& listener) {
  for (int errors = 0; errors < kErrorsInARow; errors++) {
    Result<std::variant<AcceptedConnection, AcceptStop>> answer = listener.accept();
    if (!answer) {
      pause_for_descriptors("listener " + listener.name() + ": " + answer.error().message());
      return Accepted::Paused;
    }
    if (auto* connection = std::get_if<AcceptedConnection>(&*answer)) {
      take(listener, std::move(*connection));
      return Accepted::One;
    }
    switch (std::get<AcceptStop>(*answer)) {
      case AcceptStop::Again:
        continue;
      case AcceptStop::Empty:
        return Accepted::None;
      case AcceptStop::NoFds:
        if (!touched_.empty()) {  // what this turn has accepted holds descriptors only until it is sent
          flush();
          continue;
        }
        pause_for_descriptors("no file descriptor is free (raise LimitNOFILE= or ulimit -n)");
        return Accepted::Paused;
      case AcceptStop::NoMemory:
        pause_for_descriptors("the kernel has no memory for another connection");
        return Accepted::Paused;
    }
  }
  pause_for_descriptors("listener " + listener.name() + ": the kernel gives none of the connections that wait");
  return Accepted::Paused;
}

void Dispatcher::end_turn(std::size_t accepted) {
  flush();
  if (!tick_) return;
  const Gather::Mode before = gather_.mode();
  const Gather::Mode mode = gather_.on_turn(accepted, loop_.now());
  if (mode != before) return watch_listeners();
  if (mode == Gather::Mode::Gathering && pause_ == Pause::No && started_) tick_->arm(kGatherTick);
}

ConnectionRecord Dispatcher::describe(const AcceptedConnection& connection, const Listener& listener) {
  ConnectionRecord record{};
  record.record_length = sizeof record;
  record.listener = static_cast<std::uint16_t>(listener.id().value);
  record.family = family_of(connection.remote);
  record.bucket = static_cast<std::uint16_t>(bucket_for(connection.remote));
  record.id = ++last_connection_;
  record.accepted_ns = static_cast<std::uint64_t>(loop_.now().time_since_epoch().count());
  if (record.family == HF_FAMILY_UNIX) return record;
  const auto remote = connection.remote.address.bytes();
  std::memcpy(record.remote, remote.data(), remote.size());
  record.remote_port = connection.remote.port;
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
  const unsigned bucket = connection.record.bucket;
  if (const std::optional<SlotId> slot = slot_with_room(bucket)) return put(*slot, std::move(connection));
  if (pool_.overflow == Overflow::Refuse && routes_[bucket]) {
    listeners_[connection.record.listener]->count_refusal(Refusal::QueueFull);
    return refuse_connection(std::move(connection.fd));
  }
  unplaced_.push_back(std::move(connection));
  set_pause(Pause::NoRoom);
}

std::optional<SlotId> Dispatcher::slot_with_room(unsigned bucket) const {
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

void Dispatcher::flush() {
  std::vector<UniqueFd> sent;
  for (const SlotId id : touched_) {
    Slot& slot = slots_[id.value];
    slot.touched = false;
    if (slot.inbox == nullptr) continue;
    std::vector<UniqueFd> more = slot.inbox->flush();
    std::move(more.begin(), more.end(), std::back_inserter(sent));
  }
  touched_.clear();
  close_all(std::move(sent));
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

void Dispatcher::set_pause(Pause pause) {
  // Until the unplaced have a place nobody else is let in.
  if (pause == Pause::No && !unplaced_.empty()) pause = Pause::NoRoom;
  if (pause == pause_) return;
  pause_ = pause;
  for (const Slot& slot : slots_) {
    if (slot.inbox != nullptr) slot.inbox->want_room(pause == Pause::NoRoom);
  }
  // A worker may have taken something up just before it could see the wish: look once more, after this turn.
  if (pause == Pause::NoRoom) loop_.defer([this] { on_room(); });
  watch_listeners();
}

void Dispatcher::pause_for_descriptors(const std::string& why) {
  if (loop_.now() >= next_descriptor_log_) {
    spdlog::warn("accepting pauses until that has passed, clients wait in the kernel's backlog: {}", why);
    next_descriptor_log_ = loop_.now() + kDescriptorLogPeriod;
  }
  descriptor_pause_reason_ = why;
  if (pause_ == Pause::No) set_pause(Pause::NoDescriptors);
  resume_.arm(loop_.now() + kDescriptorPause);
}

void Dispatcher::watch_listeners() {
  const bool accepting = started_ && pause_ == Pause::No;
  const bool gathering = accepting && gather_.mode() == Gather::Mode::Gathering;
  for (const std::unique_ptr<Listener>& listener : listeners_) {
    const bool watched = accepting && !gathering && listener->stage() != Listener::Stage::Coming;
    listener->watch(watched ? Listener::Watch::On : Listener::Watch::Off);
  }
  if (!tick_) return;
  if (gathering) {
    tick_->arm(kGatherTick);
  } else {
    tick_->disarm();
  }
}

void Dispatcher::rebuild_routes() {
  const unsigned group = kBuckets / resolution_;
  const std::vector<bool> available(available_.begin(), available_.begin() + table_.slots());
  for (unsigned bucket = 0; bucket < kBuckets; bucket++) {
    routes_[bucket] = bucket % group == 0 ? table_.route(bucket, available) : routes_[bucket - bucket % group];
  }
}

}  // namespace holdfast
