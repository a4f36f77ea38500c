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
  std::set<std::string> rolled;        // pools whose workers must be replaced
};

// Listeners and pools that come or go are postponed too: a worker knows its listeners by number from its start on.
[[nodiscard]] ReloadPlan plan_reload(const Config& running, const Config& wished);

}  // namespace holdfast
