#include "core/stall.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using std::chrono::seconds;

class StallTest : public testing::Test {
 protected:
  bool sample(std::uint64_t length) {
    now_ += seconds(1);
    return stall_.on_sample(length, seconds(5), now_);
  }
  Stall stall_;

 private:
  TimePoint now_ = TimePoint{} + seconds(100);
};

TEST_F(StallTest, AQueueThatOnlyGrowsForTheWholeLimitIsStalled) {
  for (std::uint64_t length = 1; length <= 5; length++) EXPECT_FALSE(sample(length)) << length;
  EXPECT_TRUE(sample(6));
}

TEST_F(StallTest, AnEmptyQueueIsNotHoweverLong) {
  for (int i = 0; i < 20; i++) EXPECT_FALSE(sample(0));
}

TEST_F(StallTest, AQueueThatStandsStillIsALongRequest) {
  for (int i = 0; i < 20; i++) EXPECT_FALSE(sample(3));
}

TEST_F(StallTest, OneThatBecomesShorterNowAndThenMovesHoweverLongItIs) {
  for (int i = 0; i < 20; i++) EXPECT_FALSE(sample(4000 + static_cast<std::uint64_t>(i % 3)));
}

TEST_F(StallTest, NothingButMovementEndsIt) {
  for (std::uint64_t length = 1; length <= 6; length++) (void)sample(length);
  ASSERT_TRUE(stall_.is_stalled());
  EXPECT_TRUE(sample(6));
  EXPECT_TRUE(sample(6));
  EXPECT_FALSE(sample(5));
}

TEST_F(StallTest, GrowthLongAgoCountsUntilItMoves) {
  (void)sample(1);
  EXPECT_FALSE(sample(2));
  for (int i = 0; i < 3; i++) EXPECT_FALSE(sample(2));
  EXPECT_TRUE(sample(2));
}

TEST(StallLimit, IsTheHoldTimeoutUnlessThatLeavesAWorkerNoTimeToWork) {
  EXPECT_EQ(stall_limit(seconds(5)), seconds(5));
  EXPECT_GE(stall_limit(Duration::zero()), std::chrono::milliseconds(100));
}

}  // namespace
}  // namespace holdfast
