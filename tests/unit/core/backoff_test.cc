#include "core/backoff.h"

#include <gtest/gtest.h>

#include <limits>

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr double kMiddle = 0.5;  // the random number that leaves the delay as it is

TEST(Backoff, ASingleCrashCostsNobodyAWait) { EXPECT_EQ(backoff_delay({}, 1, kMiddle), Duration::zero()); }

TEST(Backoff, NoFailureMeansNoDelay) { EXPECT_EQ(backoff_delay({.first = seconds(5)}, 0, kMiddle), Duration::zero()); }

TEST(Backoff, GrowsByItsFactorUpToTheLimit) {
  const BackoffPolicy policy{
      .first = milliseconds(10), .step = milliseconds(100), .factor = 2, .limit = seconds(1), .jitter = 0};
  const Duration expected[] = {milliseconds(10),  milliseconds(100), milliseconds(200), milliseconds(400),
                               milliseconds(800), seconds(1),        seconds(1)};
  unsigned failures = 0;
  for (const Duration delay : expected) EXPECT_EQ(backoff_delay(policy, ++failures, kMiddle), delay) << failures;
}

TEST(Backoff, SpreadsTheDelayOnBothSides) {
  const BackoffPolicy policy{.step = seconds(10), .jitter = 0.2};
  EXPECT_EQ(backoff_delay(policy, 2, 0.0), seconds(8));
  EXPECT_EQ(backoff_delay(policy, 2, 0.5), seconds(10));
  EXPECT_EQ(backoff_delay(policy, 2, 0.75), seconds(11));
}

TEST(Backoff, SpreadsSlotsThatAllWaitForTheLimit) {
  const BackoffPolicy policy{.limit = seconds(10), .jitter = 0.2};
  EXPECT_EQ(backoff_delay(policy, 1000, 0.0), seconds(8));
  EXPECT_GT(backoff_delay(policy, 1000, 0.9), seconds(10));
}

TEST(Backoff, StaysFiniteHoweverLongTheCrashLoop) {
  constexpr unsigned kMost = std::numeric_limits<unsigned>::max();
  EXPECT_EQ(backoff_delay({.jitter = 0}, kMost, kMiddle), seconds(30));
  EXPECT_EQ(backoff_delay({.step = Duration::zero()}, kMost, kMiddle), Duration::zero());
  EXPECT_EQ(backoff_delay({.limit = Duration::max()}, kMost, 0.999), Duration::max());
}

TEST(Backoff, AJitterAboveOneIsNeverANegativeDelay) {
  EXPECT_EQ(backoff_delay({.step = seconds(1), .jitter = 3}, 2, 0.0), Duration::zero());
}

}  // namespace
}  // namespace holdfast
