#include "dispatcher.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

#include "config/chosen_intake.h"

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

}  // namespace

Dispatcher::Dispatcher(Loop& loop, const PoolConfig& pool, HashKey hash_key, const BucketTable& table)
    : loop_(loop),
      pool_(pool),
      hash_key_(hash_key),
      table_(table),
      slots_(table.slots()),
      available_(table.slots(), true),
      gather_(chosen_intake(pool) == Intake::Node ? kNodeGatherTick : kGatherTick),
      resume_(loop,
              [this] {
                if (pause_ == Pause::NoDescriptors) set_pause(Pause::No);
              }),
      closed_(loop, [this] { look_for_closed(); }) {
  Result<std::unique_ptr<FineTimer>> tick = FineTimer::create(loop, [this] { on_tick(); });
  if (tick) tick_ = *std::move(tick);
  if (needs_placer(pool_)) placer_.emplace(pool_, hash_key_, table.slots());
  rebuild_routes();
}

void Dispatcher::add_listener(std::string name, ListeningSocket socket) {
  const ListenerId id = next_listener();
  listeners_.push_back(std::make_unique<Listener>(loop_, id, std::move(name), std::move(socket),
                                                  [this](Listener& listener) { on_connections(listener); }));
  doors_.emplace_back();
  refusers_.emplace_back();
  sources_.emplace_back();
  dry_runs_.emplace_back();
  guests_.push_back(false);
}

ListenerId Dispatcher::add_guest(std::string name, const ListenAddress& address) {
  const ListenerId id = next_listener();
  add_listener(std::move(name), ListeningSocket{UniqueFd(), address});
  guests_.back() = true;
  return id;
}

void Dispatcher::serve_listener(ListenerId listener) {
  listeners_[listener.value]->set_stage(Listener::Stage::Serving);
  watch_listeners();
}

void Dispatcher::refuse_at_listener(ListenerId listener) {
  listeners_[listener.value]->set_stage(Listener::Stage::Leaving);
  watch_listeners();
}

void Dispatcher::keep_shared_socket(ListenerId id) {
  Listener& listener = *listeners_[id.value];
  if (listener.owner() == SocketOwner::OtherListener) listener.set_owner(SocketOwner::Us);
}

void Dispatcher::leave_shared_socket(ListenerId id) {
  Listener& listener = *listeners_[id.value];
  if (listener.owner() == SocketOwner::OtherListener) listener.close();
}

void Dispatcher::revive_listener(ListenerId listener) {
  listeners_[listener.value]->set_stage(Listener::Stage::Coming);
  watch_listeners();
}

bool Dispatcher::begin_to_close(ListenerId id) {
  Listener& listener = *listeners_[id.value];
  if (listener.stage() != Listener::Stage::Serving || !listener.may_connect()) return false;
  listener.set_stage(Listener::Stage::Closing);
  return true;
}

void Dispatcher::remove_listener(ListenerId id) {
  Listener& listener = *listeners_[id.value];
  listener.leave_path();
  if (listener.is_open()) accept_rest(listener);
  flush();  // which takes its time: somebody may have come meanwhile
  if (listener.is_open()) accept_rest(listener);
  listener.close();
  listener.set_stage(Listener::Stage::Gone);
  flush();
}

void Dispatcher::start() {
  started_ = true;
  watch_holders();
  for (const std::unique_ptr<Listener>& listener : listeners_) {
    if (listener->stage() == Listener::Stage::Coming) listener->set_stage(Listener::Stage::Serving);
  }
  for (Connection& connection : std::exchange(returning_, {})) {
    if (connection.fd) {
      enter(std::move(connection));
    } else {
      listeners_[connection.record.listener]->count_refusal(Refusal::Lost);
    }
  }
  flush();
  watch_listeners();
}

void Dispatcher::close_listeners() {
  started_ = false;
  resume_.disarm();
  watch_listeners();
  for (const std::unique_ptr<Listener>& listener : listeners_) {
    if (!listener->is_open()) continue;
    listener->leave_path();
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
  for (unsigned slot = table_.slots(); slot < table.slots(); slot++) slots_[slot].keys_since = loop_.now();
  table_ = table;
  if (placer_) placer_.emplace(pool_, hash_key_, table.slots());
  rebuild_routes();
  on_room();
}

void Dispatcher::set_hash_key(HashKey key) {
  hash_key_ = key;
  if (placer_) placer_.emplace(pool_, hash_key_, table_.slots());
}

void Dispatcher::set_inbox(SlotId slot, ConnectionSink* inbox) {
  if (slots_[slot.value].inbox != inbox) slots_[slot.value].serving_since = loop_.now();
  slots_[slot.value].inbox = inbox;
  if (inbox != nullptr) inbox->want_room(pause_ == Pause::NoRoom);
}

void Dispatcher::set_state(SlotId slot, SlotState state) {
  if (state == SlotState::Serving && slots_[slot.value].state != SlotState::Serving)
    slots_[slot.value].serving_since = loop_.now();
  slots_[slot.value].state = state;
  if (!available_[slot.value] && state != SlotState::Lent) slots_[slot.value].keys_since = loop_.now();
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
  if (listener.stage() != Listener::Stage::Serving && listener.stage() != Listener::Stage::Closing) {
    listener.count_refusal(Refusal::Removed);
    return refuse_connection(std::move(connection.fd));
  }
  if (const Door& door = doors_[listener.id().value]) return door(std::move(connection));
  HeavySources* const sources = sources_[listener.id().value].get();
  if (sources != nullptr && connection.remote.family != Endpoint::Family::Unix)
    sources->on_connection(connection.remote.address, HeavySources::Fate::LetIn);
  const ConnectionRecord record = describe(connection.remote, listener.id());
  enter(Connection{std::move(connection.fd), record});
}

void Dispatcher::count_sources(ListenerId listener, KeyPrefix source) {
  std::unique_ptr<HeavySources>& sources = sources_[listener.value];
  if (!sources || sources->prefix() != source) sources = std::make_unique<HeavySources>(source, hash_key_);
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

void Dispatcher::on_limits_changed() {
  on_room();
  if (unplaced_.empty()) return;
  if (pool_.bounds_connections()) {
    closed_.arm(loop_.now());
    if (pause_ == Pause::NoRoom) set_pause(Pause::No);
  } else if (pause_ == Pause::No) {
    set_pause(Pause::NoRoom);
  }
}

void Dispatcher::refuse(std::vector<Connection> connections, Refusal refusal) {
  for (Connection& connection : connections) {
    listeners_[connection.record.listener]->count_refusal(connection.fd ? refusal : Refusal::Lost);
    if (connection.fd) refuse_connection(std::move(connection.fd));
  }
}

void Dispatcher::turn_away(std::vector<Connection> connections, Refusal refusal) {
  for (Connection& connection : connections) refuse_politely(std::move(connection), refusal);
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
  if (accepted > 0) last_client_ = loop_.now();
  flush();
  if (!tick_) return;
  const Gather::Mode before = gather_.mode();
  const Gather::Mode mode = gather_.on_turn(accepted, loop_.now());
  if (mode != before) return watch_listeners();
  if (mode == Gather::Mode::Gathering && pause_ == Pause::No && started_) tick_->arm(gather_.tick());
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

void Dispatcher::set_pause(Pause pause) {
  // Until the unplaced have a place nobody else is let in.
  if (pause == Pause::No && !unplaced_.empty() && !pool_.bounds_connections()) pause = Pause::NoRoom;
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
    tick_->arm(gather_.tick());
  } else {
    tick_->disarm();
  }
}

}  // namespace holdfast
