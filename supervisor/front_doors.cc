#include "front_doors.h"

#include <map>
#include <string_view>
#include <utility>
#include <variant>

#include "front_door.h"

namespace holdfast {

namespace {

Pool& pool_of(const std::vector<std::unique_ptr<Pool>>& pools, std::string_view name) {
  for (const std::unique_ptr<Pool>& pool : pools) {
    if (pool->name() == name) return *pool;
  }
  return *pools.front();  // no name means the first one; that there is the other is checked with the configuration
}

Outcome open_front_door(Loop& loop, const ListenerConfig& listener, const std::vector<std::unique_ptr<Pool>>& pools) {
  Pool& home = pool_of(pools, listener.pool);
  const std::vector<FrontDoor::Target> homes = home.targets(listener.name);
  if (homes.empty()) return Done{};
  std::vector<Pool*> ends = {&home};
  std::vector<const PoolConfig*> configs = {&home.config()};
  for (const Route& route : listener.routes) {
    const auto* const to_pool = std::get_if<ToPool>(&route.then);
    ends.push_back(to_pool == nullptr ? nullptr : &pool_of(pools, to_pool->pool));
    if (ends.back() != nullptr) configs.push_back(&ends.back()->config());
  }
  if (!FrontDoor::is_needed(listener, configs)) {
    for (const FrontDoor::Target& own : homes) home.take_off_door(own.listener, listener.admission.source);
    return Done{};
  }
  std::vector<FrontDoor::Way> ways;
  for (const FrontDoor::Target& own : homes) {
    std::map<Pool*, FrontDoor::Target> targets = {{&home, own}};
    FrontDoor::Way& way = ways.emplace_back();
    for (Pool* const end : ends) {
      if (end != nullptr && !targets.contains(end)) targets.emplace(end, end->add_guest(own));
      way.push_back(end == nullptr ? FrontDoor::Target{} : targets.at(end));
    }
  }
  Result<std::unique_ptr<FrontDoor>> door = FrontDoor::create(loop, listener, home.hash_key(), std::move(ways));
  if (!door) return std::move(door).error();
  home.hang(*std::move(door));
  return Done{};
}

}  // namespace

Outcome open_front_doors(Loop& loop, const std::vector<ListenerConfig>& listeners,
                         const std::vector<std::unique_ptr<Pool>>& pools) {
  for (const ListenerConfig& listener : listeners) {
    if (Outcome opened = open_front_door(loop, listener, pools); !opened) return opened;
  }
  return Done{};
}

Outcome change_front_doors(Loop& loop, const std::vector<ListenerConfig>& listeners,
                           const std::vector<std::unique_ptr<Pool>>& pools) {
  for (const ListenerConfig& listener : listeners) {
    FrontDoor* const door = pool_of(pools, listener.pool).door(listener.name);
    const Outcome changed = door != nullptr ? door->change(listener) : open_front_door(loop, listener, pools);
    if (!changed) return changed;
  }
  return Done{};
}

Outcome check_lists(const std::vector<ListenerConfig>& listeners) {
  for (const ListenerConfig& listener : listeners) {
    if (const Outcome read = Gatekeeper::check(listener.admission); !read)
      return Error{{}, "listener " + listener.name + ": " + read.error().message()};
  }
  return Done{};
}

Outcome check_routes_to(const std::set<std::string>& going, const std::vector<ListenerConfig>& listeners) {
  for (const ListenerConfig& listener : listeners) {
    for (const Route& route : listener.routes) {
      const auto* const to_pool = std::get_if<ToPool>(&route.then);
      if (to_pool == nullptr || !going.contains(to_pool->pool)) continue;
      return Error{{},
                   "routes of listener '" + listener.name + "' lead to pool '" + to_pool->pool +
                       "', and they change only when the supervisor is started anew"};
    }
  }
  return Done{};
}

}  // namespace holdfast
