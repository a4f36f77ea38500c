#include "config/nearest.h"

#include <string>
#include <vector>

#include <gtest/gtest.h>

namespace holdfast {
namespace {

const std::vector<std::string> kFlags = {"--name", "--pool", "--start-timeout", "--stop-timeout", "--rest"};

TEST(Nearest, FindsWhatWasMeant) {
  EXPECT_EQ(nearest("--start-timeuot", kFlags), "--start-timeout");
  EXPECT_EQ(nearest("--start_timeout", kFlags), "--start-timeout");
  EXPECT_EQ(nearest("--nmae", kFlags), "--name");
  EXPECT_EQ(nearest("--pools", kFlags), "--pool");
  EXPECT_EQ(nearest("--res", kFlags), "--rest");
  EXPECT_EQ(nearest("--stop-timeout", kFlags), "--stop-timeout");
}

TEST(Nearest, CountsInsertionsDeletionsAndReplacementsAlike) {
  // Six letters: three may be wrong.
  const std::vector<std::string> one = {"abcdef"};
  for (const std::string text : {"xbcdef", "abcxdef", "abcdxyz", "xyzdef"})
    EXPECT_EQ(nearest(text, one), "abcdef") << text;
  EXPECT_EQ(nearest("wxyzef", one), "");
  EXPECT_EQ(nearest("def", one), "");  // of three letters two may be wrong
  EXPECT_EQ(nearest("bcde", one), "abcdef");
}

TEST(Nearest, TakesTheNearerAndOfEqualsTheFirst) {
  EXPECT_EQ(nearest("stat", std::vector<std::string>{"start", "state", "stat"}), "stat");
  EXPECT_EQ(nearest("stat", std::vector<std::string>{"start", "state"}), "start");
}

TEST(Nearest, AnswersNothingWhereNothingIsNear) {
  EXPECT_EQ(nearest("--frobnicate", kFlags), "");
  EXPECT_EQ(nearest("--name", std::vector<std::string>{}), "");
  EXPECT_EQ(nearest("", kFlags), "");
}

}  // namespace
}  // namespace holdfast
