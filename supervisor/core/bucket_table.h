#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/ids.h"

namespace holdfast {

// More buckets would not fit the program sizes of kernels before 6.8 (net.core.optmem_max); fewer would make shares coarse.
inline constexpr unsigned kBuckets = 512;
inline constexpr unsigned kMaxSlots = 256;  // two buckets a slot is the coarsest that still is a share

// The upper nine bits: the best mixed ones of a multiplicative hash.
[[nodiscard]] constexpr unsigned bucket_of(std::uint32_t hash) { return hash >> 23; }

// Which slot each bucket belongs to: weighted rendezvous with a capacity for each slot.
//
// The table is grown one slot at a time: slot k arrives in the table of slots 0..k-1 and takes, from the slots that have
// most above their exact share, those of their buckets that score highest for it, until it has its own. So a table
// depends only on the weights (never on history), shares of equal slots differ by at most one, and a change from N to
// N+1 slots moves only what the new slot receives. A crash moves nothing here: see `route`.
//
// A weight is relative; 0 means that the slot gets no bucket and is nobody's next choice. Every share is within one
// bucket of what the weights ask for; where unequal weights round badly, single buckets move between old slots for that.
// The score of a slot for a bucket is a fixed function of the two numbers, so every machine with the same weights has
// the same table.
class BucketTable {
 public:
  BucketTable() = default;  // no slots: owns nothing
  explicit BucketTable(std::span<const std::uint32_t> weights);

  [[nodiscard]] unsigned slots() const { return slots_; }
  // The slot that the bucket belongs to. At least one slot must have a weight.
  [[nodiscard]] SlotId home(unsigned bucket) const { return home_[bucket]; }
  [[nodiscard]] unsigned share(SlotId slot) const;  // number of buckets
  // The slot that serves `bucket` now: its home if that is available, else the available slot with the highest score for it
  // (its second choice, third, ...). Nothing if no slot is available. `available` has slots() entries.
  [[nodiscard]] std::optional<SlotId> route(unsigned bucket, const std::vector<bool>& available) const;
  // All slots that may serve a bucket, in the order in which they would; home first.
  [[nodiscard]] std::vector<SlotId> preference(unsigned bucket) const;

 private:
  friend BucketTable between(const BucketTable& before, const BucketTable& after, double part);
  unsigned slots_ = 0;
  std::vector<std::uint32_t> weights_;
  std::array<SlotId, kBuckets> home_{};
};

// On the way from `before` to `after`: `part` (0 to 1) of the buckets that move have moved, so that none moves twice. It has the
// slots of `after`, which are no fewer.
[[nodiscard]] BucketTable between(const BucketTable& before, const BucketTable& after, double part);

// The table of so many equal slots.
[[nodiscard]] BucketTable equal_shares(unsigned slots);
// How many buckets have another home in `after` than in `before`: so many of 512 clients meet another worker.
[[nodiscard]] unsigned moved_buckets(const BucketTable& before, const BucketTable& after);

}  // namespace holdfast
