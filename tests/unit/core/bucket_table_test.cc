#include "core/bucket_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>
#include <optional>
#include <random>
#include <set>
#include <vector>

#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using Weights = std::vector<std::uint32_t>;

BucketTable equal_slots(unsigned count) { return BucketTable(Weights(count, 1)); }

unsigned moved(const BucketTable& before, const BucketTable& after) {
  unsigned count = 0;
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) count += before.home(bucket) != after.home(bucket) ? 1 : 0;
  return count;
}

// The largest distance of a share from what its weight asks for, in buckets.
double largest_deviation(const BucketTable& table, const Weights& weights) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  double largest = 0;
  for (std::uint32_t slot = 0; slot < weights.size(); ++slot) {
    largest = std::max(largest, std::abs(table.share(SlotId(slot)) - kBuckets * (weights[slot] / total)));
  }
  return largest;
}

TEST(BucketTable, ATableWithoutSlotsOwnsNothing) {
  const BucketTable table;
  EXPECT_EQ(table.slots(), 0U);
  EXPECT_EQ(table.route(0, {}), std::nullopt);
  EXPECT_TRUE(table.preference(0).empty());
  EXPECT_EQ(table.share(SlotId(0)), 0U);
}

TEST(BucketTable, SharesOfEqualSlotsDifferByAtMostOne) {
  for (unsigned slots = 1; slots <= kMaxSlots; ++slots) {
    const BucketTable table = equal_slots(slots);
    unsigned least = kBuckets;
    unsigned most = 0;
    unsigned sum = 0;
    for (std::uint32_t slot = 0; slot < slots; ++slot) {
      const unsigned share = table.share(SlotId(slot));
      least = std::min(least, share);
      most = std::max(most, share);
      sum += share;
    }
    EXPECT_LE(most - least, 1U) << slots;
    EXPECT_EQ(sum, kBuckets) << slots;
  }
}

TEST(BucketTable, ANewSlotMovesOnlyWhatItReceives) {
  BucketTable before = equal_slots(1);
  for (unsigned slots = 2; slots <= kMaxSlots; ++slots) {
    const BucketTable after = equal_slots(slots);
    EXPECT_EQ(moved(before, after), after.share(SlotId(slots - 1))) << slots;
    EXPECT_LE(moved(before, after), kBuckets * (1.0 / slots + 0.02)) << slots;
    before = after;
  }
}

TEST(BucketTable, NeighbouringBucketsDoNotGoTogether) {
  const BucketTable table = equal_slots(4);
  unsigned together = 0;
  for (unsigned bucket = 1; bucket < kBuckets; ++bucket)
    together += table.home(bucket - 1) == table.home(bucket) ? 1 : 0;
  EXPECT_NEAR(together, kBuckets / 4, 40);
}

TEST(BucketTable, TheScaleOfTheWeightsDoesNotMatter) {
  EXPECT_EQ(moved(BucketTable(Weights{1, 2, 3}), BucketTable(Weights{1000, 2000, 3000})), 0U);
  EXPECT_EQ(moved(equal_slots(7), BucketTable(Weights(7, 0xffffffffU))), 0U);
}

TEST(BucketTable, SharesFollowTheWeightsWithinOneBucket) {
  for (const Weights& weights :
       {Weights{1, 2, 3}, Weights{100, 1}, Weights{1, 100}, Weights{5, 5, 5, 1}, Weights{3, 0, 3}, Weights{0, 0, 7},
        Weights{0xffffffff, 1, 0xffffffff}, Weights{1, 1, 0xffffffff}}) {
    EXPECT_LT(largest_deviation(BucketTable(weights), weights), 1) << ::testing::PrintToString(weights);
  }
}

// What a newcomer alone cannot put right: found by trying random weights, each is a whole bucket off without the last pass.
TEST(BucketTable, SharesStayWithinOneBucketWhereTheWeightsRoundBadly) {
  Weights light_then_heavy(12, 8);
  light_then_heavy.resize(36, 252);
  Weights few_light_then_heavy(10, 10);
  few_light_then_heavy.resize(27, 721);
  for (const Weights& weights :
       {Weights{956, 956, 956, 9, 9, 2, 9}, Weights{180, 7, 1, 1, 7, 7, 1, 7},
        Weights{3, 153, 8, 3, 153, 8, 8, 153, 3, 153, 3}, light_then_heavy, few_light_then_heavy}) {
    EXPECT_LT(largest_deviation(BucketTable(weights), weights), 1) << ::testing::PrintToString(weights);
  }
}

TEST(BucketTable, OneHeavyAmongManyLightSlotsKeepsItsShare) {
  Weights weights(kMaxSlots, 1);
  weights[100] = 1000;
  EXPECT_LT(largest_deviation(BucketTable(weights), weights), 1);
}

TEST(BucketTable, ASlotOfWeightZeroIsNeverChosen) {
  const BucketTable table(Weights{1, 0, 1});
  EXPECT_EQ(table.share(SlotId(1)), 0U);
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) {
    EXPECT_NE(table.home(bucket), SlotId(1));
    EXPECT_EQ(table.route(bucket, {false, true, false}), std::nullopt);
    EXPECT_EQ(table.preference(bucket).size(), 2U);
  }
}

TEST(BucketTable, WithoutAnyWeightNothingIsRouted) {
  const BucketTable table(Weights{0, 0});
  EXPECT_EQ(table.share(SlotId(0)), 0U);
  EXPECT_EQ(table.route(7, {true, true}), std::nullopt);
  EXPECT_TRUE(table.preference(7).empty());
}

TEST(BucketTable, ASlotThatIsDownLendsOnlyItsOwnBucketsAndGetsThemBack) {
  const BucketTable table = equal_slots(8);
  std::vector<bool> available(8, true);
  available[3] = false;
  std::vector<unsigned> lent(8);
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) {
    const std::optional<SlotId> slot = table.route(bucket, available);
    ASSERT_TRUE(slot);
    ASSERT_NE(*slot, SlotId(3));
    if (table.home(bucket) == SlotId(3)) {
      ++lent[slot->value];
    } else {
      EXPECT_EQ(*slot, table.home(bucket));
    }
  }
  // 64 buckets over seven slots: nine each, and no slot is left out or overrun.
  for (std::uint32_t slot = 0; slot < 8; ++slot) {
    if (slot == 3) continue;
    EXPECT_GE(lent[slot], 2U) << slot;
    EXPECT_LE(lent[slot], 20U) << slot;
  }
  available[3] = true;
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) EXPECT_EQ(table.route(bucket, available), table.home(bucket));
}

TEST(BucketTable, HeavierSlotsTakeMoreOfWhatIsLent) {
  const BucketTable table(Weights{6, 1, 3});
  unsigned to_light = 0;
  unsigned to_heavy = 0;
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) {
    if (table.home(bucket) != SlotId(0)) continue;
    ++(table.route(bucket, {false, true, true}) == SlotId(1) ? to_light : to_heavy);
  }
  const double share = to_heavy / static_cast<double>(to_heavy + to_light);
  EXPECT_NEAR(share, 0.75, 0.1) << to_heavy << " and " << to_light;
}

TEST(BucketTable, ThePreferenceHasEverySlotOnceAndTheHomeFirst) {
  const BucketTable table = equal_slots(9);
  for (unsigned bucket = 0; bucket < kBuckets; ++bucket) {
    const std::vector<SlotId> preference = table.preference(bucket);
    EXPECT_EQ(preference.front(), table.home(bucket));
    EXPECT_EQ(std::set<SlotId>(preference.begin(), preference.end()).size(), 9U);
  }
}

// Golden: machines that share a key must agree on the table. A change here moves the clients of every installation.
TEST(BucketTable, IsTheSameOnEveryMachine) {
  const auto digest = [](const BucketTable& table) {
    std::uint32_t hash = 2166136261U;
    for (unsigned bucket = 0; bucket < kBuckets; ++bucket) {
      for (const SlotId slot : table.preference(bucket)) hash = (hash ^ slot.value) * 16777619U;
    }
    return hash;
  };
  EXPECT_EQ(digest(equal_slots(4)), 0x2f70fc1dU);
  EXPECT_EQ(digest(equal_slots(256)), 0xfb70ed2bU);
  EXPECT_EQ(digest(BucketTable(Weights{5, 0, 1, 1000, 77})), 0x5d1bf9a7U);
}

Weights random_weights(std::mt19937_64& random) {
  const std::uint32_t widest[] = {2, 4, 100, 0xffffffff};
  const std::uint32_t width = widest[random() % 4];
  Weights weights(1 + random() % (random() % 4 == 0 ? kMaxSlots : 12));
  for (std::uint32_t& weight : weights) weight = static_cast<std::uint32_t>(random()) % width;
  weights[random() % weights.size()] = 1 + static_cast<std::uint32_t>(random()) % 1000;
  return weights;
}

TEST(BucketTable, KeepsItsPromisesForRandomWeights) {
  std::mt19937_64 random(random_seed());
  for (int i = 0; i < 100; ++i) {
    const Weights weights = random_weights(random);
    SCOPED_TRACE(::testing::PrintToString(weights));
    const BucketTable table(weights);
    ASSERT_LT(largest_deviation(table, weights), 1);
    for (std::uint32_t slot = 0; slot < weights.size(); ++slot) {
      ASSERT_TRUE(weights[slot] != 0 || table.share(SlotId(slot)) == 0) << slot;
    }
  }
}

// Slots come and go at random: the answer is always the first available one of the preference, so it depends on who is
// there now and on nothing that was before.
TEST(BucketTable, RoutesAlongThePreferenceThroughARandomHistory) {
  std::mt19937_64 random(random_seed());
  for (int history = 0; history < 20; ++history) {
    const Weights weights = random_weights(random);
    SCOPED_TRACE(::testing::PrintToString(weights));
    const BucketTable table(weights);
    std::vector<bool> available(weights.size(), true);
    for (int event = 0; event < 40; ++event) {
      available[random() % available.size()].flip();
      const unsigned bucket = random() % kBuckets;
      const std::vector<SlotId> preference = table.preference(bucket);
      const auto first =
          std::find_if(preference.begin(), preference.end(), [&](SlotId slot) { return available[slot.value]; });
      const std::optional<SlotId> expected = first == preference.end() ? std::nullopt : std::optional(*first);
      ASSERT_EQ(table.route(bucket, available), expected) << bucket;
    }
  }
}

TEST(BucketTable, TellsHowManyBucketsAChangeMoves) {
  EXPECT_EQ(moved_buckets(equal_shares(3), equal_shares(3)), 0U);
  EXPECT_EQ(moved_buckets(equal_shares(3), equal_shares(4)), equal_shares(4).share(SlotId{3}));
  EXPECT_EQ(moved_buckets(equal_shares(4), equal_shares(3)), equal_shares(4).share(SlotId{3}));
}

TEST(BucketTable, OnTheWayToAnotherEachBucketMovesOnce) {
  const BucketTable before = equal_shares(3);
  const BucketTable after = equal_shares(5);
  const unsigned all = moved_buckets(before, after);
  EXPECT_EQ(moved_buckets(before, between(before, after, 0)), 0U);
  EXPECT_EQ(moved_buckets(after, between(before, after, 1)), 0U);
  BucketTable last = between(before, after, 0);
  EXPECT_EQ(last.slots(), 5U);
  for (const double part : {0.1, 0.25, 0.5, 0.75, 0.9, 1.0}) {
    const BucketTable now = between(before, after, part);
    EXPECT_NEAR(moved_buckets(before, now), part * all, 2);
    EXPECT_EQ(moved_buckets(before, last) + moved_buckets(last, now), moved_buckets(before, now)) << "none goes back";
    EXPECT_NEAR(now.share(SlotId{3}), part * after.share(SlotId{3}), 1) << "both newcomers warm up";
    EXPECT_NEAR(now.share(SlotId{4}), part * after.share(SlotId{4}), 1);
    last = now;
  }
}

}  // namespace
}  // namespace holdfast
