#include "config/reload_plan.h"

#include <algorithm>
#include <cstddef>

#include "config/diff.h"

namespace holdfast {

namespace {

// Where the pool or listener of that name stands.
template <class Item>
std::size_t index_of(const std::vector<Item>& items, const std::string& name) {
  const auto found = std::find_if(items.begin(), items.end(), [&](const Item& item) { return item.name == name; });
  return static_cast<std::size_t>(found - items.begin());
}

bool is_postponed(const Change& change) {
  return change.kind != Change::Kind::Changed || change.path.scope == Scope::Listener ||
         change.effect == Effect::NeedsRestart;
}

}  // namespace

ReloadPlan plan_reload(const Config& running, const Config& wished) {
  ReloadPlan plan{running, {}, {}, {}};
  plan.config.log_level = wished.log_level;
  plan.config.bus = wished.bus;
  plan.config.bus.redis = running.bus.redis;
  for (PoolConfig& pool : plan.config.pools) {
    const std::size_t at = index_of(wished.pools, pool.name);
    if (at < wished.pools.size()) pool = wished.pools[at];
  }
  for (const Change& change : differences(running, wished)) {
    const bool of_pool = change.path.scope == Scope::Pool && change.kind == Change::Kind::Changed;
    if (!is_postponed(change) && of_pool) {
      plan.applied.push_back(to_text(change));
      if (change.effect == Effect::RollWorkers) plan.rolled.insert(change.path.name);
      continue;
    }
    if (!is_postponed(change) && (change.path.key == "log-level" || change.path.scope == Scope::Bus)) {
      plan.applied.push_back(to_text(change));
      continue;
    }
    plan.postponed.push_back(to_text(change));
    if (!of_pool) continue;
    const Option& option = *find_option(Scope::Pool, change.path.key);
    const Place place{index_of(running.pools, change.path.name), change.path.entry};
    (void)option.set(plan.config, place, option.get(running, place));  // it is valid: it holds
  }
  return plan;
}

}  // namespace holdfast
