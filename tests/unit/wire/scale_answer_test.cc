#include "wire/scale_answer.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(ScaleAnswer, IsReadBackAsItWasWritten) {
  ScaleAnswer answer;
  answer.pool = "main";
  answer.slots = 4;
  answer.moved_buckets = 128;
  answer.buckets = 512;
  answer.scaled = true;
  EXPECT_FALSE(parse_scale_answer(to_json(answer))->clients);
  answer.clients = 1000;
  answer.moved_clients = 250;
  const Result<ScaleAnswer> read = parse_scale_answer(to_json(answer));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->pool, "main");
  EXPECT_EQ(read->slots, 4U);
  EXPECT_EQ(read->moved_buckets, 128U);
  EXPECT_EQ(read->buckets, 512U);
  EXPECT_TRUE(read->scaled);
  EXPECT_EQ(read->clients, 1000U);
  EXPECT_EQ(read->moved_clients, 250U);
}

TEST(ScaleAnswer, WhatIsNoneIsAnError) {
  EXPECT_FALSE(parse_scale_answer("[]"));
  EXPECT_FALSE(parse_scale_answer(R"({"slots":"many"})"));
}

}  // namespace
}  // namespace holdfast
