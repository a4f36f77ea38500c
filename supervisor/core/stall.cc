#include "core/stall.h"

#include <algorithm>
#include <utility>

namespace holdfast {

bool Stall::on_sample(std::uint64_t length, Duration limit, TimePoint now) {
  const std::uint64_t before = std::exchange(last_, length);
  const TimePoint sampled = std::exchange(sampled_, now);
  const bool first = sampled == TimePoint{};
  if (first || length == 0 || length < before) {
    watched_ = Duration::zero();
    shortest_ = length;
    stalled_ =
        false;  // only a queue that moves ends a stall: while new clients go elsewhere, standing still is no news
    return false;
  }
  watched_ += std::min(now - sampled, limit / kFewestStallSamples);
  if (watched_ >= limit && length > shortest_) stalled_ = true;
  return stalled_;
}

}  // namespace holdfast
