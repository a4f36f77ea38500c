#include "core/recycle.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using Why = Recycle::Why;

constexpr TimePoint kStart{1000h};

// Its limits are those of the policy: slot 0 at its earliest place in the jitter.
Recycle plain() { return {SlotId{0}, 1, 0.0, kStart}; }

TEST(Recycle, NothingIsDueWithoutALimit) {
  Recycle recycle = plain();
  recycle.on_sample({}, {1'000'000, std::uint64_t{1} << 40}, kStart);
  EXPECT_EQ(recycle.due({}, kStart + 1000h), std::nullopt);
  EXPECT_FALSE(RecyclePolicy{}.wants_anything());
}

TEST(Recycle, IsDueAtItsAge) {
  RecyclePolicy policy;
  policy.age = 10h;
  const Recycle recycle = plain();
  EXPECT_EQ(recycle.due(policy, kStart + 10h - 1ms), std::nullopt);
  EXPECT_EQ(recycle.due(policy, kStart + 10h), Why::Age);
}

TEST(Recycle, IsDueWhenItHasServedItsConnections) {
  RecyclePolicy policy;
  policy.connections = 100;
  Recycle recycle = plain();
  recycle.on_sample(policy, {99, std::nullopt}, kStart);
  EXPECT_EQ(recycle.due(policy, kStart), std::nullopt);
  recycle.on_sample(policy, {100, std::nullopt}, kStart);
  EXPECT_EQ(recycle.due(policy, kStart), Why::Connections);
}

TEST(Recycle, MemoryCountsOnlyWhenItIsOverItsLimitAllTheTime) {
  RecyclePolicy policy;
  policy.memory = {1000};
  policy.memory_time = 60s;
  Recycle recycle = plain();
  recycle.on_sample(policy, {0, 1001}, kStart);
  EXPECT_EQ(recycle.due(policy, kStart + 59s), std::nullopt);
  recycle.on_sample(policy, {0, 1000}, kStart + 59s);
  recycle.on_sample(policy, {0, 1001}, kStart + 60s);
  EXPECT_EQ(recycle.due(policy, kStart + 61s), std::nullopt) << "it was below for a moment";
  recycle.on_sample(policy, {0, 5000}, kStart + 90s);
  EXPECT_EQ(recycle.due(policy, kStart + 120s), Why::Memory);
  recycle.on_sample(policy, {0, std::nullopt}, kStart + 121s);
  EXPECT_EQ(recycle.due(policy, kStart + 500s), std::nullopt) << "what is not known is no reason";
}

TEST(Recycle, AfterItWasAskedForItIsNotDueForAWhile) {
  RecyclePolicy policy;
  policy.age = 10h;
  Recycle recycle = plain();
  recycle.on_asked(kStart + 10h);
  EXPECT_EQ(recycle.due(policy, kStart + 10h + Recycle::kAskAgain - 1ms), std::nullopt);
  EXPECT_EQ(recycle.due(policy, kStart + 10h + Recycle::kAskAgain), Why::Age);
}

// Workers that were started together and serve alike are due one after the other, each no later than its limit and no earlier
// than the jitter allows.
TEST(Recycle, SlotsAreNeverDueTogether) {
  const std::uint64_t seed = random_seed();
  for (std::uint64_t run = seed; run < seed + 300; run++) {
    std::mt19937_64 dice(run);
    std::uniform_real_distribution<double> unit(0.0, 1.0);
    const unsigned slots = 2 + static_cast<unsigned>(dice() % 30);
    const unsigned jitter = 1 + static_cast<unsigned>(dice() % 100);
    RecyclePolicy policy;
    policy.age = 24h;
    policy.jitter = jitter;
    std::vector<Duration> due_at;
    for (unsigned slot = 0; slot < slots; slot++) {
      const Recycle recycle(SlotId{slot}, slots, unit(dice), kStart);
      Duration low = 0h;
      Duration high = 24h;
      while (high - low > 1us) {
        const Duration middle = low + (high - low) / 2;
        (recycle.due(policy, kStart + middle) ? high : low) = middle;
      }
      ASSERT_LE(high, 24h) << "seed " << run;
      ASSERT_GE(high, 24h * (100 - jitter) / 100) << "seed " << run;
      due_at.push_back(high);
    }
    std::sort(due_at.begin(), due_at.end());
    ASSERT_EQ(std::adjacent_find(due_at.begin(), due_at.end()), due_at.end()) << "seed " << run;
  }
}

}  // namespace
}  // namespace holdfast
