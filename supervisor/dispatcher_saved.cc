#include <algorithm>
#include <utility>

#include "dispatcher.h"
#include "worker/saved_connection.h"

namespace holdfast {

namespace {

// A reload is waited for, so none is coming. (Where it was not, it serves: those of its workers that do not know it are renewed
// by the next one.)
SavedListener::Stage stage_of(const Listener& listener) {
  if (listener.stage() == Listener::Stage::Leaving) return SavedListener::Stage::Leaving;
  if (listener.stage() == Listener::Stage::Closing) return SavedListener::Stage::Closing;
  return listener.stage() == Listener::Stage::Gone ? SavedListener::Stage::Gone : SavedListener::Stage::Serving;
}

Listener::Stage stage_of(SavedListener::Stage stage) {
  if (stage == SavedListener::Stage::Leaving) return Listener::Stage::Leaving;
  if (stage == SavedListener::Stage::Closing) return Listener::Stage::Closing;
  return stage == SavedListener::Stage::Gone ? Listener::Stage::Gone : Listener::Stage::Serving;
}

}  // namespace

Outcome Dispatcher::adopt(const SavedPool& saved, FdTable& fds) {
  for (const SavedListener& listener : saved.listeners) {
    const Result<ListenAddress> address = parse_listen_address(listener.address);
    if (!address) return address.error();
    const SocketOwner owner = listener.of_service_manager ? SocketOwner::ServiceManager : SocketOwner::Us;
    add_listener(listener.name, ListeningSocket{fds.take_if_there(listener.fd), *address, owner});
    std::map<Refusal, std::uint64_t> refused;
    for (const auto& [reason, count] : listener.refused) {
      // A reason that only another version knows: the sum must hold.
      refused[refusal_of(reason).value_or(Refusal::Lost)] += count;
    }
    guests_.back() = listener.is_guest;
    listeners_.back()->set_stage(stage_of(listener.stage));
    listeners_.back()->adopt_account(listener.accepted, std::move(refused));
  }
  last_connection_ = saved.last_connection;
  if (saved.resolution != 0) resolution_ = std::clamp(saved.resolution, 1U, kBuckets);
  resize(static_cast<unsigned>(saved.slots.size()));
  table_ = table_for(pool_, std::clamp<unsigned>(saved.table_slots, 1, static_cast<unsigned>(slots_.size())));
  if (placer_) placer_.emplace(pool_, hash_key_, table_.slots());
  rebuild_routes();
  for (const SavedConnection& connection : saved.unplaced) unplaced_.push_back(take_connection(connection, fds));
  for (const SavedConnection& connection : saved.at_session_door)
    returning_.push_back(take_connection(connection, fds));
  if (unplaced_.empty()) return Done{};
  if (pool_.bounds_connections()) {
    closed_.arm(loop_.now());
  } else {
    pause_ = Pause::NoRoom;
  }
  return Done{};
}

void Dispatcher::save(SavedPool& saved, FdList& fds) const {
  for (const std::unique_ptr<Listener>& listener : listeners_) {
    SavedListener& written = saved.listeners.emplace_back();
    written.name = listener->name();
    written.address = to_text(listener->address());
    written.stage = stage_of(*listener);
    written.of_service_manager = listener->owner() == SocketOwner::ServiceManager;
    written.fd = fds.add("listener", listener->socket());
    written.is_guest = is_guest(listener->id());
    written.accepted = listener->accepted();
    for (const auto& [refusal, count] : listener->refused()) written.refused[std::string(to_text(refusal))] = count;
  }
  saved.last_connection = last_connection_;
  saved.resolution = resolution_;
  saved.table_slots = table_.slots();
  for (const Connection& connection : unplaced_) saved.unplaced.push_back(save_connection(connection, fds));
}

}  // namespace holdfast
