// What a reload does to a pool that goes on.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "pool.h"

namespace holdfast {

void Pool::apply(PoolChange change, std::function<void(Outcome)> done) {
  const PoolConfig before = std::exchange(config_, std::move(change.config));
  runner_.on_policy_changed();
  dispatcher_.on_limits_changed();
  if (config_.prefix != before.prefix) steerer_.refresh();
  const std::vector<ListenerId> coming = listeners_in(Listener::Stage::Coming);
  std::vector<ListenerId> leaving = listeners_in(Listener::Stage::Serving);
  std::erase_if(leaving,
                [&](ListenerId id) { return !change.closed.contains(dispatcher_.listeners()[id.value]->name()); });
  const bool held =
      std::any_of(leaving.begin(), leaving.end(), [this](ListenerId id) { return is_held_by_workers(id); });
  const bool resized = config_.workers != before.workers;
  const auto finish = [this, resized, done](const Outcome& outcome) {
    if (!outcome || !resized) return done(outcome);
    runner_.set_size(config_.workers, done);
  };
  if (!change.roll && coming.empty() && !held) {
    keep_change(coming, leaving, change.handed_on);
    return finish(Done{});
  }
  if (!coming.empty()) runner_.expect_listeners();
  begin_leaving(leaving);
  runner_.expect_to_leave(leaving);
  runner_.roll([this, before, coming, leaving, handed_on = change.handed_on, finish](const Outcome& outcome) {
    runner_.expect_to_leave({});
    if (outcome) {
      keep_change(coming, leaving, handed_on);
    } else {
      config_ = before;
      runner_.on_policy_changed();
      dispatcher_.on_limits_changed();
      runner_.forget_node_servers();
      undo_change(coming, leaving);
    }
    finish(outcome);
  });
}

void Pool::set_hash_key(HashKey key) {
  dispatcher_.set_hash_key(key);
  steerer_.set_hash_key(key);
}

void Pool::close_coming() { undo_change(listeners_in(Listener::Stage::Coming), {}); }

FleetRunner::Hooks Pool::with_ours(FleetRunner::Hooks hooks) {
  hooks.on_left = [this] { remove_left(); };
  return hooks;
}

std::vector<ListenerId> Pool::listeners_in(Listener::Stage stage) const {
  std::vector<ListenerId> found;
  for (const std::unique_ptr<Listener>& listener : dispatcher_.listeners()) {
    if (listener->stage() == stage) found.push_back(listener->id());
  }
  return found;
}

// Its sockets may still be held by workers that are on their way out, so that it could not be bound anew.
bool Pool::revive(const ListenerConfig& listener) {
  for (const ListenerId id : removed_) {
    const Listener& left = *dispatcher_.listeners()[id.value];
    if (left.name() != listener.name) continue;
    if (listener.address != wished_.at(id) && listener.address != left.address()) continue;
    removed_.erase(id);
    dispatcher_.revive_listener(id);
    steerer_.forget_knowledge(id);
    return true;
  }
  return false;
}

// Its workers accept at sockets of their own: closed under their hands these would be a riddle to the program.
bool Pool::is_held_by_workers(ListenerId listener) const {
  const bool datagrams = std::holds_alternative<UdpAddress>(dispatcher_.listeners()[listener.value]->address());
  return steerer_.is_steered(listener) && (datagrams || steerer_.plane() == Plane::Steer);
}

// Their workers serve what they have been given. Whoever comes later would wait for workers that do not know the listener.
void Pool::begin_leaving(const std::vector<ListenerId>& listeners) {
  for (const ListenerId listener : listeners) {
    if (is_held_by_workers(listener)) dispatcher_.refuse_at_listener(listener);
  }
  steerer_.refresh();
}

void Pool::keep_change(const std::vector<ListenerId>& coming, const std::vector<ListenerId>& leaving,
                       const std::set<ListenerId>& handed_on) {
  for (const ListenerId listener : coming) {
    const bool still_comes = dispatcher_.listeners()[listener.value]->stage() == Listener::Stage::Coming;
    if (!still_comes) continue;  // a guest whose home has gone meanwhile
    dispatcher_.keep_shared_socket(listener);
    if (is_known_everywhere(listener)) {
      serve_listener(listener);
    } else {
      held_back_.insert(listener);
    }
  }
  for (const ListenerId listener : leaving) {
    const Listener& closed = *dispatcher_.listeners()[listener.value];
    spdlog::info("no longer listening on {} ({})", to_text(closed.address()), closed.name());
    if (is_held_by_workers(listener)) removed_.insert(listener);
  }
  steerer_.refresh();
  remove_left();
  close(leaving, handed_on);
}

void Pool::close_listeners(const std::set<ListenerId>& handed_on) {
  close(listeners_in(Listener::Stage::Serving), handed_on);
}

void Pool::when_closed(std::function<void()> done) {
  if (closing_.empty()) return done();
  when_closed_.push_back(std::move(done));
}

// A client that has sent its first packet to a socket can be connected by no other one: closed at once, it would reset him. That
// socket is not closed to new clients, though, if another listener goes on with it.
void Pool::close(const std::vector<ListenerId>& listeners, const std::set<ListenerId>& handed_on) {
  for (const ListenerId listener : listeners) {
    if (is_held_by_workers(listener)) continue;
    if (!handed_on.contains(listener) && dispatcher_.begin_to_close(listener)) {
      closing_.insert(listener);
    } else {
      steerer_.remove_listener(listener);
    }
  }
  steerer_.refresh();
  if (closing_.empty()) return;
  keep_();  // whoever follows us must not take it for one that serves
  for (const ListenerId listener : closing_) steerer_.close_to_new_clients(listener);
  closed_.arm(loop_.now() + Dispatcher::kHandshakeTime);
}

void Pool::finish_closing() {
  closed_.disarm();
  const std::set<ListenerId> closing = std::exchange(closing_, {});
  for (const ListenerId listener : closing) steerer_.remove_listener(listener);
  if (closing.empty()) return;
  keep_();  // who keeps its socket for who follows us lets it go
  remove_left();
  for (const std::function<void()>& done : std::exchange(when_closed_, {})) done();
}

bool Pool::is_known_everywhere(ListenerId listener) const {
  return std::all_of(doors_.begin(), doors_.end(), [&](const std::unique_ptr<FrontDoor>& door) {
    return door->is_retired() || !door->is_for(listener) || door->is_known_everywhere();
  });
}

void Pool::serve_listener(ListenerId id) {
  dispatcher_.serve_listener(id);
  const Listener& listener = *dispatcher_.listeners()[id.value];
  if (!dispatcher_.is_guest(id)) spdlog::info("listening on {} ({})", to_text(listener.address()), listener.name());
}

void Pool::hold_back() {
  for (const ListenerId listener : listeners_in(Listener::Stage::Serving)) {
    if (is_known_everywhere(listener)) continue;
    dispatcher_.revive_listener(listener);
    held_back_.insert(listener);
  }
}

void Pool::serve_held_back() {
  std::erase_if(held_back_, [this](ListenerId listener) {
    if (dispatcher_.listeners()[listener.value]->stage() != Listener::Stage::Coming) return true;
    if (!is_known_everywhere(listener)) return false;
    serve_listener(listener);
    return true;
  });
}

void Pool::undo_change(const std::vector<ListenerId>& coming, const std::vector<ListenerId>& leaving) {
  for (const ListenerId listener : coming) {
    if (dispatcher_.listeners()[listener.value]->stage() != Listener::Stage::Coming) continue;  // as in `keep_change`
    dispatcher_.leave_shared_socket(listener);
    dispatcher_.refuse_at_listener(listener);
    removed_.insert(listener);
  }
  for (const ListenerId listener : leaving) dispatcher_.serve_listener(listener);
  steerer_.refresh();
  remove_left();
}

// Those whose last worker has gone. Not now: we may be in the middle of that worker's end.
void Pool::remove_left() {
  if (std::exchange(removal_due_, true)) return;
  loop_.defer([this, alive = std::weak_ptr(alive_)] {
    if (alive.expired()) return;
    removal_due_ = false;
    std::erase_if(removed_, [this](ListenerId listener) {
      if (is_held_by_workers(listener) && runner_.is_known(listener)) return false;
      steerer_.remove_listener(listener);
      return true;
    });
    sweep_doors();
  });
}

}  // namespace holdfast
