#pragma once

#include <set>
#include <string>
#include <vector>

#include "config/config.h"

namespace holdfast {

// What a reload does with a configuration that has no mistakes.
struct ReloadPlan {
  Config config;                       // holds from now on: what is wished, but for what is postponed
  std::vector<std::string> applied;    // changes, in words
  std::vector<std::string> postponed;  // changes that need a supervisor that is started anew; the present values hold
  std::set<std::string> rolled;        // pools that go on, and whose workers must be replaced
  std::set<std::string> started;       // pools that are new
  std::set<std::string> stopped;       // pools that are no longer wished, with all their listeners
  // Listeners of pools that go on or are new, and of pools that go on. One whose address changes is in both.
  std::vector<ListenerConfig> opened;
  std::vector<ListenerConfig> closed;
};

[[nodiscard]] ReloadPlan plan_reload(const Config& running, const Config& wished);

// The name of the pool whose workers serve the listener's clients.
[[nodiscard]] const std::string& pool_name_of(const ListenerConfig& listener, const Config& config);

// `config` (of a plan) as it is if what was wished of one pool could not be done, and all is there as in `running`.
[[nodiscard]] Config without_change_of(const std::string& pool, Config config, const Config& running);

}  // namespace holdfast
