#include "core/health.h"

#include <gtest/gtest.h>

#include <optional>
#include <random>

#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using Decision = Health::Decision;
using State = Health::State;

constexpr HealthPolicy kPolicy{.interval = 5s, .timeout = 2s, .fail = 3, .pass = 2};
constexpr TimePoint kStart{1000h};

class HealthTest : public testing::Test {
 protected:
  Decision decide() { return health.decide(policy, now); }
  // One whole check: begins when it is due, answers at once.
  Decision check(bool passes) {
    now = std::max(now, health.next_deadline(policy));
    EXPECT_TRUE(decide().begin_check);
    passes ? health.on_passed() : health.on_failed();
    return decide();
  }

  HealthPolicy policy = kPolicy;
  TimePoint now = kStart;
  Health health{kStart};
};

TEST_F(HealthTest, TheFirstCheckBeginsAtOnceAndTheNextAnIntervalAfterItsBeginning) {
  EXPECT_EQ(decide(), Decision{.begin_check = true});
  EXPECT_EQ(decide(), Decision{}) << "one at a time";
  now += 1s;
  health.on_passed();
  EXPECT_EQ(decide(), Decision{});
  EXPECT_EQ(health.next_deadline(policy), kStart + 5s);
  now = kStart + 5s;
  EXPECT_EQ(decide(), Decision{.begin_check = true});
}

TEST_F(HealthTest, ACheckWithoutAnAnswerHasFailedAtItsTimeout) {
  (void)decide();
  EXPECT_EQ(health.next_deadline(policy), kStart + 2s);
  now += 2s - 1ns;
  EXPECT_EQ(decide(), Decision{});
  now += 1ns;
  EXPECT_EQ(decide(), Decision{.abandon_check = true});
  health.on_passed();
  EXPECT_EQ(decide(), Decision{}) << "too late";
}

TEST_F(HealthTest, ThreeFailuresInARowMakeItUnhealthyAndTwoPassesHealthyAgain) {
  EXPECT_FALSE(check(false).became_unhealthy);
  EXPECT_FALSE(check(false).became_unhealthy);
  EXPECT_FALSE(check(true).became_healthy);
  EXPECT_FALSE(check(false).became_unhealthy) << "the pass has made good the failures before it";
  EXPECT_FALSE(check(false).became_unhealthy);
  EXPECT_TRUE(check(false).became_unhealthy);
  EXPECT_EQ(health.state(), State::Unhealthy);
  EXPECT_FALSE(check(true).became_healthy);
  EXPECT_FALSE(check(false).became_healthy);
  EXPECT_FALSE(check(true).became_healthy);
  EXPECT_TRUE(check(true).became_healthy);
  EXPECT_EQ(health.state(), State::Healthy);
}

TEST_F(HealthTest, WhoStaysUnhealthyIsReportedAgainAfterAsManyFailures) {
  for (int i = 1; i <= 9; i++) EXPECT_EQ(check(false).became_unhealthy, i % 3 == 0) << i;
}

TEST_F(HealthTest, ACheckThatCameToNothingSaysNothing) {
  (void)check(false);
  (void)check(false);
  now = health.next_deadline(policy);
  (void)decide();
  health.on_void();
  EXPECT_EQ(decide(), Decision{});
  EXPECT_TRUE(check(false).became_unhealthy) << "it neither failed nor passed";
}

TEST_F(HealthTest, AnIntervalShorterThanTheTimeoutNeverMakesTwoChecksAtATime) {
  policy.interval = 1s;
  (void)decide();
  now += 1s;
  EXPECT_EQ(decide(), Decision{});
  now += 1s;
  EXPECT_EQ(decide(), (Decision{.begin_check = true, .abandon_check = true}));
}

// Whatever happens: one check at a time, no deadline in the past, and the state is what the last results in a row say.
TEST(HealthHistory, KeepsItsRules) {
  const std::uint64_t seed = random_seed();
  for (std::uint64_t run = seed; run < seed + 500; run++) {
    std::mt19937_64 dice(run);
    const auto any = [&](unsigned most) { return static_cast<unsigned>(dice() % (most + 1)); };
    const HealthPolicy policy{.interval = std::chrono::milliseconds(any(20)),
                              .timeout = std::chrono::milliseconds(1 + any(20)),
                              .fail = 1 + any(3),
                              .pass = 1 + any(3)};
    TimePoint now = kStart;
    Health health(now);
    bool under_way = false;
    bool healthy = true;
    unsigned good = 0;
    unsigned bad = 0;
    for (int step = 0; step < 300; step++) {
      now = any(3) == 0 ? now + std::chrono::milliseconds(any(30)) : std::max(now, health.next_deadline(policy));
      std::optional<bool> result;
      if (under_way && any(1) == 0) {
        const unsigned what = any(4);
        if (what == 0) health.on_void();
        if (what == 1) health.on_passed();
        if (what >= 2) health.on_failed();
        if (what > 0) result = what == 1;
        under_way = false;
      }
      const Health::Decision decision = health.decide(policy, now);
      if (decision.abandon_check) {
        ASSERT_TRUE(under_way) << "seed " << run;
        result = false;
        under_way = false;
      }
      if (result) {
        good = *result ? good + 1 : 0;
        bad = *result ? 0 : bad + 1;
      }
      if (decision.begin_check) {
        ASSERT_FALSE(under_way) << "seed " << run;
        under_way = true;
      }
      const bool ill = result && !*result && bad % policy.fail == 0;
      const bool well = result && *result && !healthy && good >= policy.pass;
      ASSERT_EQ(decision.became_unhealthy, ill) << "seed " << run;
      ASSERT_EQ(decision.became_healthy, well) << "seed " << run;
      healthy = ill ? false : well || healthy;
      ASSERT_EQ(health.state() == State::Healthy, healthy) << "seed " << run;
      ASSERT_EQ(health.decide(policy, now), Health::Decision{}) << "idempotent, seed " << run;
      ASSERT_TRUE(health.next_deadline(policy) > now || policy.interval == 0ms) << "seed " << run;
    }
  }
}

}  // namespace
}  // namespace holdfast
