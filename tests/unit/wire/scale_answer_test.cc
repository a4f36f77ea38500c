#include "wire/scale_answer.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(ScaleAnswer, IsReadBackAsItWasWritten) {
  const Result<ScaleAnswer> read = parse_scale_answer(to_json(ScaleAnswer{"main", 4, 128, 512, true}));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->pool, "main");
  EXPECT_EQ(read->slots, 4U);
  EXPECT_EQ(read->moved_buckets, 128U);
  EXPECT_EQ(read->buckets, 512U);
  EXPECT_TRUE(read->scaled);
}

TEST(ScaleAnswer, WhatIsNoneIsAnError) {
  EXPECT_FALSE(parse_scale_answer("[]"));
  EXPECT_FALSE(parse_scale_answer(R"({"slots":"many"})"));
}

}  // namespace
}  // namespace holdfast
