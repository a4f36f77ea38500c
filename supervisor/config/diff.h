#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "config/options.h"
#include "config/origin.h"

namespace holdfast {

// One way in which a configuration differs from another: what a reload has to do.
struct Change {
  enum class Kind {
    Added,    // a listener or a pool that was not there
    Removed,  // one that is there no more; one with another name is another one
    Changed,  // a value
  };
  Kind kind;
  KeyPath path;  // Added, Removed: without a key
  Effect effect = Effect::Live;
  std::string before = {};  // Changed: as a file has it; empty: there was none (a variable of the environment)
  std::string after = {};
  bool operator==(const Change&) const = default;
};

// In this order: the supervisor's values, listeners, pools; what is gone, what has changed, what is new.
[[nodiscard]] std::vector<Change> differences(const Config& before, const Config& after);

// "pools.web.workers: 4 -> 8 (takes effect at once)", "listener api is added".
[[nodiscard]] std::string to_text(const Change& change);

}  // namespace holdfast
