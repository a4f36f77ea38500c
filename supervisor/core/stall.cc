#include "core/stall.h"

#include <utility>

namespace holdfast {

bool Stall::on_sample(std::uint64_t length, Duration limit, TimePoint now) {
  const std::uint64_t before = std::exchange(last_, length);
  if (length == 0 || length < before || since_ == TimePoint{}) {
    since_ = now;
    shortest_ = length;
    stalled_ =
        false;  // only a queue that moves ends a stall: while new clients go elsewhere, standing still is no news
  }
  if (now - since_ >= limit && length > shortest_) stalled_ = true;
  return stalled_;
}

}  // namespace holdfast
