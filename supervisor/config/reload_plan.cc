#include "config/reload_plan.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "config/diff.h"

namespace holdfast {

namespace {

// Where the pool or listener of that name stands.
template <class Item>
std::size_t index_of(const std::vector<Item>& items, const std::string& name) {
  const auto found = std::find_if(items.begin(), items.end(), [&](const Item& item) { return item.name == name; });
  return static_cast<std::size_t>(found - items.begin());
}

template <class Item>
const Item* find(const std::vector<Item>& items, const std::string& name) {
  const std::size_t at = index_of(items, name);
  return at < items.size() ? &items[at] : nullptr;
}

Place place_of(const Config& config, const KeyPath& path) {
  switch (path.scope) {
    case Scope::Listener:
      return {index_of(config.listeners, path.name), path.entry};
    case Scope::Pool:
      return {index_of(config.pools, path.name), path.entry};
    case Scope::Supervisor:
    case Scope::Bus:
      break;
  }
  return {0, path.entry};
}

class Planner {
 public:
  Planner(const Config& running, const Config& wished) : running_(running), plan_{wished, {}, {}, {}, {}, {}, {}, {}} {
    for (ListenerConfig& listener : plan_.config.listeners) listener.pool = pool_name_of(listener, wished);
  }

  ReloadPlan make(const std::vector<Change>& changes) {
    for (const Change& change : changes) {
      if (change.kind == Change::Kind::Changed && !may_change(change)) {
        postpone(change);
      } else {
        plan_.applied.push_back(to_text(change));
        note_workers(change);
      }
    }
    for (const Change& change : changes) note_pool(change);
    for (const Change& change : changes) note_listener(change);
    return std::move(plan_);
  }

 private:
  // A listener cannot be handed from pool to pool, for its workers may have its sockets; but if its pool goes it goes with it.
  [[nodiscard]] bool may_change(const Change& change) const {
    if (change.effect != Effect::NeedsRestart) return true;
    return change.path.scope == Scope::Listener && change.path.key == "pool" && !stays(running_pool(change.path.name));
  }
  [[nodiscard]] bool stays(const std::string& pool) const { return find(plan_.config.pools, pool) != nullptr; }
  [[nodiscard]] const std::string& running_pool(const std::string& listener) const {
    return pool_name_of(*find(running_.listeners, listener), running_);
  }

  void postpone(const Change& change) {
    plan_.postponed.push_back(to_text(change));
    const Option& option = *find_option(change.path.scope, change.path.key);
    const Value now = option.get(running_, place_of(running_, change.path));
    (void)option.set(plan_.config, place_of(plan_.config, change.path), now);  // it is valid: it holds
  }

  void note_workers(const Change& change) {
    const bool of_pool = change.path.scope == Scope::Pool && change.kind == Change::Kind::Changed;
    if (of_pool && change.effect == Effect::RollWorkers) plan_.rolled.insert(change.path.name);
  }

  void note_pool(const Change& change) {
    if (change.path.scope != Scope::Pool) return;
    if (change.kind == Change::Kind::Added) plan_.started.insert(change.path.name);
    if (change.kind == Change::Kind::Removed) plan_.stopped.insert(change.path.name);
  }

  void note_listener(const Change& change) {
    if (change.path.scope != Scope::Listener) return;
    const bool elsewhere = change.kind == Change::Kind::Changed &&
                           (change.path.key == "address" || (change.path.key == "pool" && may_change(change)));
    if (change.kind == Change::Kind::Changed && !elsewhere) return;
    const ListenerConfig* const old_one = find(running_.listeners, change.path.name);
    const ListenerConfig* const new_one = find(plan_.config.listeners, change.path.name);
    if (old_one != nullptr && stays(running_pool(change.path.name))) add(plan_.closed, *old_one, running_);
    if (new_one != nullptr) add(plan_.opened, *new_one, plan_.config);
  }

  static void add(std::vector<ListenerConfig>& listeners, ListenerConfig listener, const Config& config) {
    if (find(listeners, listener.name) != nullptr) return;  // its address and its pool have changed
    listener.pool = pool_name_of(listener, config);
    listeners.push_back(std::move(listener));
  }

  const Config& running_;
  ReloadPlan plan_;
};

}  // namespace

ReloadPlan plan_reload(const Config& running, const Config& wished) {
  return Planner(running, wished).make(differences(running, wished));
}

const std::string& pool_name_of(const ListenerConfig& listener, const Config& config) {
  return listener.pool.empty() ? config.pools.front().name : listener.pool;
}

Config without_change_of(const std::string& name, Config config, const Config& running) {
  const PoolConfig* const before = find(running.pools, name);
  std::erase_if(config.pools, [&](const PoolConfig& pool) { return pool.name == name && before == nullptr; });
  if (before != nullptr) {
    const std::size_t at = index_of(config.pools, name);
    if (at == config.pools.size()) config.pools.emplace_back();
    config.pools[at] = *before;
  }
  std::erase_if(config.listeners, [&](const ListenerConfig& listener) { return listener.pool == name; });
  for (ListenerConfig listener : running.listeners) {
    if (pool_name_of(listener, running) != name || find(config.listeners, listener.name) != nullptr) continue;
    listener.pool = name;
    config.listeners.push_back(std::move(listener));
  }
  return config;
}

}  // namespace holdfast
