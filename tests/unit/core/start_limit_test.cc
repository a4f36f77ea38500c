#include "core/start_limit.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr TimePoint kStart{seconds(1000)};
constexpr StartLimitPolicy kThreeInTen{.failures = 3, .interval = seconds(10)};

TEST(StartLimit, IsReachedByThatManyFailuresWithinTheInterval) {
  StartLimit limit;
  EXPECT_FALSE(limit.on_failure(kThreeInTen, kStart));
  EXPECT_FALSE(limit.on_failure(kThreeInTen, kStart + seconds(5)));
  EXPECT_TRUE(limit.on_failure(kThreeInTen, kStart + seconds(10)));
}

TEST(StartLimit, ForgetsWhatIsOlderThanTheInterval) {
  StartLimit limit;
  EXPECT_FALSE(limit.on_failure(kThreeInTen, kStart));
  EXPECT_FALSE(limit.on_failure(kThreeInTen, kStart + seconds(5)));
  EXPECT_FALSE(limit.on_failure(kThreeInTen, kStart + seconds(10) + milliseconds(1)));
  EXPECT_TRUE(limit.on_failure(kThreeInTen, kStart + seconds(15)));
}

TEST(StartLimit, ACrashNowAndThenNeverReachesIt) {
  StartLimit limit;
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(limit.on_failure(kThreeInTen, kStart + i * seconds(6)));
}

TEST(StartLimit, StaysReachedWhileFailuresGoOn) {
  StartLimit limit;
  for (int i = 0; i < 100; ++i) EXPECT_EQ(limit.on_failure(kThreeInTen, kStart + i * seconds(1)), i >= 2) << i;
}

TEST(StartLimit, BeginsAnewAfterClear) {
  StartLimit limit;
  for (int i = 0; i < 3; ++i) (void)limit.on_failure(kThreeInTen, kStart);  // the answer is the business of other tests
  limit.clear();
  EXPECT_FALSE(limit.on_failure(kThreeInTen, kStart));
}

TEST(StartLimit, ALimitOfOneIsReachedAtOnce) {
  StartLimit limit;
  EXPECT_TRUE(limit.on_failure({.failures = 1}, kStart));
}

TEST(StartLimit, ZeroMeansNoLimit) {
  StartLimit limit;
  for (int i = 0; i < 100; ++i) EXPECT_FALSE(limit.on_failure({.failures = 0}, kStart));
}

TEST(StartLimit, FollowsAPolicyThatChanges) {
  StartLimit limit;
  for (int i = 0; i < 8; ++i) EXPECT_FALSE(limit.on_failure({.failures = 10}, kStart));
  EXPECT_TRUE(limit.on_failure(kThreeInTen, kStart));
  EXPECT_FALSE(limit.on_failure({.failures = 10}, kStart));
}

}  // namespace
}  // namespace holdfast
