#include "core/backoff.h"

#include <algorithm>
#include <cmath>

namespace holdfast {

Duration backoff_delay(const BackoffPolicy& policy, unsigned failures, double random) {
  if (failures == 0) return Duration::zero();

  // In floating point the powers of a long crash loop overflow to infinity, which the limit then takes care of.
  double delay = static_cast<double>(policy.first.count());
  if (failures > 1) {
    const double step = static_cast<double>(policy.step.count());
    delay = step > 0 ? step * std::pow(policy.factor, failures - 2) : 0;
  }
  delay = std::min(delay, static_cast<double>(policy.limit.count()));

  // After the limit, not before it: slots that all wait for the limit are those that must not rise together.
  delay *= 1 + policy.jitter * (2 * random - 1);

  if (delay >= static_cast<double>(Duration::max().count())) return Duration::max();
  return Duration(static_cast<Duration::rep>(std::max(delay, 0.0)));
}

}  // namespace holdfast
