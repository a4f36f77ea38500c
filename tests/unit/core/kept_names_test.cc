#include "core/kept_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(KeptNames, OnlyDifferencesAreSaid) {
  KeptNames kept;
  KeptNames::Change change = kept.change_to({"a", "b"});
  EXPECT_THAT(change.given, ElementsAre("a", "b"));
  EXPECT_THAT(change.taken_back, IsEmpty());
  change = kept.change_to({"a", "b"});
  EXPECT_THAT(change.given, IsEmpty());
  EXPECT_THAT(change.taken_back, IsEmpty());
  change = kept.change_to({"b", "c"});
  EXPECT_THAT(change.given, ElementsAre("c"));
  EXPECT_THAT(change.taken_back, ElementsAre("a"));
}

TEST(KeptNames, WhatWasKeptBeforeAndIsNotWantedGoes) {
  KeptNames kept;
  kept.assume({"old", "same"});
  const KeptNames::Change change = kept.change_to({"new", "same"});
  EXPECT_THAT(change.given, ElementsAre("new"));
  EXPECT_THAT(change.taken_back, ElementsAre("old"));
}

}  // namespace
}  // namespace holdfast
