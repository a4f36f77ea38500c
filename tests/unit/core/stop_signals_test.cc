#include "core/stop_signals.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

constexpr TimePoint kFirst{1000h};

TEST(StopSignals, ThatComeTogetherAreOneWish) {
  EXPECT_FALSE(is_second_signal(kFirst, kFirst));
  EXPECT_FALSE(is_second_signal(kFirst, kFirst + 3us));
  EXPECT_FALSE(is_second_signal(kFirst, kFirst + 100ms - 1ns));
}

TEST(StopSignals, ThatComeApartAreTwo) {
  EXPECT_TRUE(is_second_signal(kFirst, kFirst + 100ms));
  EXPECT_TRUE(is_second_signal(kFirst, kFirst + 1h));
}

}  // namespace
}  // namespace holdfast
