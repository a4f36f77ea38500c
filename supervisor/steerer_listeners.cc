#include <algorithm>
#include <utility>

#include "core/steering_program.h"
#include "steerer.h"

namespace holdfast {

void Steerer::close_to_new_clients(ListenerId id) {
  if (const std::optional<std::size_t> index = managed_index(id)) {
    for (const std::unique_ptr<SteerGroup>& group : listeners_[*index].groups) group->close_to_new_clients();
  }
  dispatcher_.close_to_new_clients(id);
}

void Steerer::remove_listener(ListenerId id) {
  const std::optional<std::size_t> index = managed_index(id);
  if (!index) return dispatcher_.remove_listener(id);
  Listener& listener = listeners_[*index];
  const bool streams = std::holds_alternative<TcpAddress>(listener.address);
  for (const std::unique_ptr<SteerGroup>& group : listener.groups) {
    if (streams) drain_all(listener, *group);
  }
  dispatcher_.remove_listener(id);
  for (const std::unique_ptr<SteerGroup>& group : listener.groups) group->shut_down();
  listener.groups.clear();
}

std::optional<std::size_t> Steerer::managed_index(ListenerId id) const {
  const auto found = std::find_if(listeners_.begin(), listeners_.end(), [id](const Listener& l) { return l.id == id; });
  if (found == listeners_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - listeners_.begin());
}

bool Steerer::empty() const {
  return std::all_of(listeners_.begin(), listeners_.end(), [](const Listener& l) { return l.groups.empty(); });
}

// The dispatcher knows; a listener of which it has not heard yet is being opened.
holdfast::Listener::Stage Steerer::stage_of(const Listener& listener) const {
  const auto& known = dispatcher_.listeners();
  return listener.id.value < known.size() ? known[listener.id.value]->stage() : holdfast::Listener::Stage::Coming;
}

bool Steerer::is_leaving(const Listener& listener) const {
  const holdfast::Listener::Stage stage = stage_of(listener);
  return stage != holdfast::Listener::Stage::Coming && stage != holdfast::Listener::Stage::Serving;
}

// Whose socket the slot's clients come to. A worker knows the listeners of its start: so whoever comes to a new one waits at the
// socket that the slot's next worker will have.
Turn Steerer::turn_for(const Listener& listener, SlotId id) const {
  const Slot& slot = slots_[id.value];
  if (stage_of(listener) != holdfast::Listener::Stage::Coming) return slot.turn;
  const auto known = listener.known_at.find(id);
  if (known != listener.known_at.end()) return known->second;
  return slot.users[slot.turn == Turn::First ? 0 : 1] > 0 ? other(slot.turn) : slot.turn;
}

void Steerer::note_knowledge(SlotId slot, Turn turn) {
  for (Listener& listener : listeners_) {
    if (stage_of(listener) != holdfast::Listener::Stage::Coming) continue;
    const Turn before = turn_for(listener, slot);
    listener.known_at[slot] = turn;
    if (before == turn) continue;
    for (const std::unique_ptr<SteerGroup>& group : listener.groups) attach(listener, *group);
  }
}

void Steerer::set_hash_key(HashKey key) {
  if (std::exchange(hash_key_, key) != key) refresh();
}

void Steerer::forget_knowledge(ListenerId id) {
  if (const std::optional<std::size_t> index = managed_index(id)) listeners_[*index].known_at.clear();
}

}  // namespace holdfast
