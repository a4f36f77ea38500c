#include "core/heavy_bucket.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

// How often a bucket that gets `share` of a thousand connections is told of, in several rounds; the others come in turns.
int told_of(unsigned share) {
  HeavyBuckets buckets;
  int told = 0;
  for (unsigned i = 0; i < HeavyBuckets::kRound * 5; ++i) {
    const bool is_ours = i % 1000 * 7 % 1000 < share;
    if (buckets.on_connection(is_ours ? 7 : 8 + i % 500)) ++told;
  }
  return told;
}

TEST(HeavyBuckets, TellsOfOneWithMoreThanThreeInTenAndOnlyOnce) {
  EXPECT_EQ(told_of(330), 1);
  EXPECT_EQ(told_of(1000), 1);
}

TEST(HeavyBuckets, SaysNothingOfOneWithLess) {
  EXPECT_EQ(told_of(0), 0);
  EXPECT_EQ(told_of(290), 0);
}

TEST(HeavyBuckets, TellsOfASecondOne) {
  HeavyBuckets buckets;
  int told = 0;
  for (unsigned i = 0; i < HeavyBuckets::kRound * 2; ++i) told += buckets.on_connection(i % 2) ? 1 : 0;
  EXPECT_EQ(told, 2);
}

TEST(HeavyBuckets, WhatAddsUpOverManyRoundsIsNotHeavy) {
  HeavyBuckets buckets;
  for (unsigned i = 0; i < HeavyBuckets::kRound * 100; ++i) EXPECT_FALSE(buckets.on_connection(i % 10));
}

}  // namespace
}  // namespace holdfast
