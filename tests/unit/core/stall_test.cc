#include "core/stall.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using std::chrono::seconds;

constexpr int kSamples = kStallSamples;  // within the limit

class StallTest : public testing::Test {
 protected:
  bool sample(std::uint64_t length, Duration later = kLimit / kSamples) {
    now_ += later;
    return stall_.on_sample(length, kLimit, now_);
  }
  static constexpr Duration kLimit = seconds(5);
  Stall stall_;

 private:
  TimePoint now_ = TimePoint{} + seconds(100);
};

TEST_F(StallTest, AQueueThatOnlyGrowsForTheWholeLimitIsStalled) {
  for (std::uint64_t length = 1; length <= kSamples; length++) EXPECT_FALSE(sample(length)) << length;
  EXPECT_TRUE(sample(kSamples + 1));
}

TEST_F(StallTest, AnEmptyQueueIsNotHoweverLong) {
  for (int i = 0; i < 3 * kSamples; i++) EXPECT_FALSE(sample(0));
}

TEST_F(StallTest, AQueueThatStandsStillIsALongRequest) {
  for (int i = 0; i < 3 * kSamples; i++) EXPECT_FALSE(sample(3));
}

TEST_F(StallTest, OneThatBecomesShorterNowAndThenMovesHoweverLongItIs) {
  for (int i = 0; i < 3 * kSamples; i++) EXPECT_FALSE(sample(4000 + static_cast<std::uint64_t>(i % 3)));
}

TEST_F(StallTest, NothingButMovementEndsIt) {
  for (std::uint64_t length = 1; length <= kSamples + 1; length++) (void)sample(length);
  ASSERT_TRUE(stall_.is_stalled());
  EXPECT_TRUE(sample(kSamples + 1));
  EXPECT_TRUE(sample(kSamples + 1));
  EXPECT_FALSE(sample(kSamples));
}

TEST_F(StallTest, GrowthLongAgoCountsUntilItMoves) {
  (void)sample(1);
  for (int i = 1; i < kSamples; i++) EXPECT_FALSE(sample(2));
  EXPECT_TRUE(sample(2));
}

TEST_F(StallTest, TimeInWhichNobodyLookedSaysLittle) {
  (void)sample(1);
  EXPECT_FALSE(sample(2, 20 * kLimit)) << "we were without a CPU, and so was the worker";
  EXPECT_FALSE(sample(3, 20 * kLimit));
  for (std::uint64_t length = 4; length < 1 + kFewestStallSamples; length++)
    EXPECT_FALSE(sample(length, kLimit)) << length;
  EXPECT_TRUE(sample(20, kLimit));
}

TEST(StallLimit, IsTheHoldTimeoutUnlessThatLeavesAWorkerNoTimeToWork) {
  EXPECT_EQ(stall_limit(seconds(5)), seconds(5));
  EXPECT_GE(stall_limit(Duration::zero()), std::chrono::milliseconds(100));
}

}  // namespace
}  // namespace holdfast
