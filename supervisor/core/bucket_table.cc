#include "core/bucket_table.h"

#include <algorithm>
#include <bit>
#include <compare>
#include <cstddef>
#include <utility>

#include "core/placement_key.h"

namespace holdfast {
namespace {

// The draw of a slot for a bucket: a fixed number, as good as random, the same on every machine.
constexpr std::uint32_t draw(unsigned bucket, unsigned slot) {
  constexpr std::uint32_t kGoldenRatio = 0x9e3779b9U;  // spreads small numbers over all bits
  return mix(mix(bucket * kGoldenRatio + 1) ^ mix((slot + 1) * kGoldenRatio));
}

// Weighted rendezvous: with u uniform in (0, 1], the slot with the least -log(u) / weight wins with a probability
// proportional to its weight. The logarithm is taken in integers, because machines may differ in the last bits of
// floating point.
constexpr unsigned kFractionBits = 26;  // 32 << 26 still fits 32 bits
constexpr unsigned kStepBits = 8;

// log2(1 + i / 256), bit by bit: squaring a number doubles its logarithm.
constexpr auto kLog2 = [] {
  std::array<std::uint32_t, (1U << kStepBits) + 1> table{};
  for (std::uint32_t i = 0; i < table.size() - 1; ++i) {
    std::uint64_t x =
        (std::uint64_t{1} << 31) + (std::uint64_t{i} << (31 - kStepBits));  // in [1, 2), 31 bits of fraction
    for (unsigned bit = kFractionBits; bit-- > 0;) {
      x = x * x >> 31;
      if (x < std::uint64_t{1} << 32) continue;
      x >>= 1;
      table[i] |= 1U << bit;
    }
  }
  table.back() = 1U << kFractionBits;
  return table;
}();

// -log2((draw + 1) / 2^32) with kFractionBits of fraction: straight lines between the steps of the table.
constexpr std::uint32_t cost(std::uint32_t drawn) {
  const std::uint64_t u = std::uint64_t{drawn} + 1;
  const unsigned exponent = static_cast<unsigned>(std::bit_width(u)) - 1;
  const std::uint64_t mantissa = u << (32 - exponent) & 0xffffffffU;  // what follows the leading one
  const std::size_t step = mantissa >> (32 - kStepBits);
  const std::uint64_t within = mantissa & ((std::uint64_t{1} << (32 - kStepBits)) - 1);
  const std::uint64_t rise = (kLog2[step + 1] - kLog2[step]) * within >> (32 - kStepBits);
  return ((32 - exponent) << kFractionBits) - kLog2[step] - static_cast<std::uint32_t>(rise);
}
static_assert(cost(0xffffffffU) == 0 && cost(0x7fffffffU) == 1U << kFractionBits && cost(0) == 32U << kFractionBits);

// A slot's claim to a bucket, in the order in which they serve it: `a < b` is "a comes before b".
struct Claim {
  std::uint32_t cost = 0;
  std::uint32_t weight = 0;
  unsigned slot = 0;

  Claim(unsigned bucket, unsigned claimant, std::uint32_t claimant_weight)
      : cost(holdfast::cost(draw(bucket, claimant))), weight(claimant_weight), slot(claimant) {}

  std::strong_ordering operator<=>(const Claim& other) const {
    const std::uint64_t mine = std::uint64_t{cost} * other.weight;
    const std::uint64_t theirs = std::uint64_t{other.cost} * weight;
    return std::pair(mine, slot) <=> std::pair(theirs, other.slot);
  }
  bool operator==(const Claim& other) const { return slot == other.slot; }
};

// The table while it grows. A slot's surplus is what it owns above its exact share, in units of 1/total_weight buckets:
// all surpluses together are zero.
class Growth {
 public:
  Growth(std::span<const std::uint32_t> weights, std::array<SlotId, kBuckets>& home)
      : weights_(weights), owned_(weights.size()), home_(home) {}

  // `slot` arrives in the table of the slots before it.
  void add(unsigned slot) {
    if (weights_[slot] == 0) return;
    arrived_.push_back(slot);
    total_weight_ += weights_[slot];
    if (arrived_.size() == 1) {
      home_.fill(SlotId(slot));
      owned_[slot] = kBuckets;
      return;
    }
    take_share(slot);
    level();
  }

 private:
  [[nodiscard]] std::int64_t surplus(unsigned slot) const {
    return std::int64_t{owned_[slot]} * total_weight_ - std::int64_t{kBuckets} * weights_[slot];
  }
  [[nodiscard]] bool has_less(unsigned a, unsigned b) const { return surplus(a) < surplus(b); }
  [[nodiscard]] unsigned richest() const {
    return *std::max_element(arrived_.begin(), arrived_.end(),
                             [this](unsigned a, unsigned b) { return has_less(a, b); });
  }
  [[nodiscard]] unsigned poorest() const {
    return *std::min_element(arrived_.begin(), arrived_.end(),
                             [this](unsigned a, unsigned b) { return has_less(a, b); });
  }

  // The slot takes one bucket after the other from whoever has most, as long as that makes the two more alike.
  void take_share(unsigned slot) {
    for (unsigned donor = richest(); surplus(donor) - surplus(slot) > total_weight_; donor = richest())
      move_best(donor, slot);
  }

  // Unequal weights can round so that a slot is a whole bucket away from its exact share; equal ones never do.
  void level() {
    for (unsigned donor = richest(), taker = poorest();
         surplus(donor) >= total_weight_ || surplus(taker) <= -total_weight_; donor = richest(), taker = poorest()) {
      move_best(donor, taker);
    }
  }

  // Of the donor's buckets, the one for which the taker's draw is highest.
  void move_best(unsigned donor, unsigned taker) {
    unsigned best = kBuckets;
    for (unsigned bucket = 0; bucket < kBuckets; ++bucket) {
      if (home_[bucket] != SlotId(donor)) continue;
      if (best == kBuckets || draw(bucket, taker) > draw(best, taker)) best = bucket;
    }
    home_[best] = SlotId(taker);
    --owned_[donor];
    ++owned_[taker];
  }

  std::span<const std::uint32_t> weights_;
  std::vector<unsigned> arrived_;  // slots with a weight, in order of arrival
  std::vector<unsigned> owned_;    // buckets of each slot
  std::int64_t total_weight_ = 0;  // of those that have arrived
  std::array<SlotId, kBuckets>& home_;
};

}  // namespace

BucketTable::BucketTable(std::span<const std::uint32_t> weights)
    : slots_(static_cast<unsigned>(weights.size())), weights_(weights.begin(), weights.end()) {
  Growth growth(weights_, home_);
  for (unsigned slot = 0; slot < slots_; ++slot) growth.add(slot);
}

unsigned BucketTable::share(SlotId slot) const {
  if (slot.value >= slots_ || weights_[slot.value] == 0) return 0;
  return static_cast<unsigned>(std::count(home_.begin(), home_.end(), slot));
}

std::optional<SlotId> BucketTable::route(unsigned bucket, const std::vector<bool>& available) const {
  if (slots_ == 0) return std::nullopt;
  const SlotId home = home_[bucket];
  if (available[home.value] && weights_[home.value] != 0) return home;

  std::optional<Claim> best;
  for (unsigned slot = 0; slot < slots_; ++slot) {
    if (!available[slot] || weights_[slot] == 0) continue;
    const Claim claim(bucket, slot, weights_[slot]);
    if (!best || claim < *best) best = claim;
  }
  return best ? std::optional(SlotId(best->slot)) : std::nullopt;
}

std::vector<SlotId> BucketTable::preference(unsigned bucket) const {
  std::vector<Claim> claims;
  for (unsigned slot = 0; slot < slots_; ++slot) {
    if (weights_[slot] != 0) claims.emplace_back(bucket, slot, weights_[slot]);
  }
  const SlotId home = home_[bucket];
  const auto is_home = [home](const Claim& claim) { return SlotId(claim.slot) == home; };
  std::sort(std::partition(claims.begin(), claims.end(), is_home), claims.end());

  std::vector<SlotId> slots;
  slots.reserve(claims.size());
  for (const Claim& claim : claims) slots.emplace_back(claim.slot);
  return slots;
}

BucketTable between(const BucketTable& before, const BucketTable& after, double part) {
  // Each newcomer warms up as fast as the others: of the buckets of one slot the first ones move first.
  BucketTable table = after;
  std::vector<unsigned> moved(after.slots_);
  std::vector<unsigned> of_slot(after.slots_);
  for (unsigned bucket = 0; bucket < kBuckets; bucket++) {
    if (before.home_[bucket] != after.home_[bucket]) of_slot[after.home_[bucket].value]++;
  }
  for (unsigned bucket = 0; bucket < kBuckets; bucket++) {
    const SlotId to = after.home_[bucket];
    if (before.home_[bucket] == to) continue;
    const bool moves = moved[to.value] < part * of_slot[to.value];
    moved[to.value]++;
    if (!moves) table.home_[bucket] = before.home_[bucket];
  }
  return table;
}

BucketTable equal_shares(unsigned slots) { return BucketTable(std::vector<std::uint32_t>(slots, 1)); }

unsigned moved_buckets(const BucketTable& before, const BucketTable& after) {
  unsigned moved = 0;
  for (unsigned bucket = 0; bucket < kBuckets; bucket++) moved += before.home(bucket) != after.home(bucket) ? 1 : 0;
  return moved;
}

}  // namespace holdfast
