#include "core/heavy_bucket.h"

namespace holdfast {

bool HeavyBuckets::on_connection(unsigned bucket) {
  const bool is_heavy = ++counts_[bucket] > kHeavy && !told_[bucket];
  if (is_heavy) told_[bucket] = true;
  if (++seen_ == kRound) {
    seen_ = 0;
    counts_.fill(0);
  }
  return is_heavy;
}

}  // namespace holdfast
