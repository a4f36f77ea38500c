#pragma once

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/result.h"
#include "loop/loop.h"
#include "pool.h"

namespace holdfast {

// Gives each of these listeners a front door, if it needs one. The pools have the listeners already; pools that routes lead to get
// an account of the listeners in question, as of listeners of their own that come: their workers learn of them.
[[nodiscard]] Outcome open_front_doors(Loop& loop, const std::vector<ListenerConfig>& listeners,
                                       const std::vector<std::unique_ptr<Pool>>& pools);

// After a reload: gives the doors of these listeners their new limits and times, and a door to those that need one now.
[[nodiscard]] Outcome change_front_doors(Loop& loop, const std::vector<ListenerConfig>& listeners,
                                         const std::vector<std::unique_ptr<Pool>>& pools);

// Whether all lists can be read: to be asked before anything is opened or changed, because a door does without those that cannot.
[[nodiscard]] Outcome check_lists(const std::vector<ListenerConfig>& listeners);

// Whether nothing leads to a pool that is to go; else an error that says what does.
[[nodiscard]] Outcome check_routes_to(const std::set<std::string>& going, const std::vector<ListenerConfig>& listeners);

}  // namespace holdfast
