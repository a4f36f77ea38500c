#pragma once

#include "core/time.h"

namespace holdfast {

struct BackoffPolicy {
  Duration first = Duration::zero();  // delay after the first failure: a single crash should not cost anyone a wait
  Duration step = std::chrono::milliseconds(100);  // delay after the second
  double factor = 2.0;                             // each further one is longer by this
  Duration limit = std::chrono::seconds(30);
  // The delay is spread over +- this part of itself, so that slots that fell together do not rise together. It is added
  // after the limit, which a delay may therefore exceed by this part.
  double jitter = 0.2;
  bool operator==(const BackoffPolicy&) const = default;
};

// The delay before the next attempt after `failures` failures in a row (1 is the first). `random` is in [0, 1).
[[nodiscard]] Duration backoff_delay(const BackoffPolicy& policy, unsigned failures, double random);

}  // namespace holdfast
