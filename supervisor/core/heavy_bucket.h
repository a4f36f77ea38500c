#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "core/bucket_table.h"

namespace holdfast {

// Finds keys that are too heavy for one slot: a bucket that gets more than three in ten of a pool's connections. No placement
// by key can spread one key, so its slot is loaded while others idle, and somebody should know why.
//
// Connections are counted in rounds of some thousand, whatever time they take; each bucket is told once in the life of the
// program. Buckets and not keys are counted, because that takes no memory for each client: one in five hundred buckets
// with so much in it has one key that is heavy, or is not worth telling apart from it.
class HeavyBuckets {
 public:
  static constexpr unsigned kRound = 2000;  // connections
  static constexpr unsigned kHeavy = kRound * 3 / 10;

  // A connection of this bucket has come. True: it is heavy, which was not told yet.
  [[nodiscard]] bool on_connection(unsigned bucket);

 private:
  std::array<std::uint16_t, kBuckets> counts_{};  // of this round
  std::array<bool, kBuckets> told_{};
  unsigned seen_ = 0;
};

}  // namespace holdfast
