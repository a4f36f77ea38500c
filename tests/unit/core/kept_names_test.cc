#include "core/kept_names.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(KeptNames, OnlyDifferencesAreSaid) {
  KeptNames kept;
  KeptNames::Change change = kept.change_to({{"a", "1"}, {"b", "2"}});
  EXPECT_THAT(change.given, ElementsAre("a", "b"));
  EXPECT_THAT(change.taken_back, IsEmpty());
  change = kept.change_to({{"a", "1"}, {"b", "2"}});
  EXPECT_THAT(change.given, IsEmpty());
  EXPECT_THAT(change.taken_back, IsEmpty());
  change = kept.change_to({{"b", "2"}, {"c", "3"}});
  EXPECT_THAT(change.given, ElementsAre("c"));
  EXPECT_THAT(change.taken_back, ElementsAre("a"));
}

TEST(KeptNames, WhatWasKeptBeforeAndIsNotWantedGoes) {
  KeptNames kept;
  kept.assume({{"old", "1"}, {"same", "2"}});
  const KeptNames::Change change = kept.change_to({{"new", "3"}, {"same", "2"}});
  EXPECT_THAT(change.given, ElementsAre("new"));
  EXPECT_THAT(change.taken_back, ElementsAre("old"));
}

TEST(KeptNames, WhatCouldNotBeSaidIsSaidAgain) {
  KeptNames kept;
  (void)kept.change_to({{"a", "1"}, {"b", "2"}});
  kept.was_not_given("b");
  KeptNames::Change change = kept.change_to({{"a", "1"}, {"b", "2"}});
  EXPECT_THAT(change.given, ElementsAre("b"));
  change = kept.change_to({{"b", "2"}});
  EXPECT_THAT(change.taken_back, ElementsAre("a"));
  kept.was_not_taken_back("a");
  change = kept.change_to({{"b", "2"}});
  EXPECT_THAT(change.given, IsEmpty());
  EXPECT_THAT(change.taken_back, ElementsAre("a"));
  change = kept.change_to({{"b", "2"}});
  EXPECT_THAT(change.taken_back, IsEmpty());
}

TEST(KeptNames, AFileOfTwoNamesStaysUnderTheFirstAsLongAsEitherIsWanted) {
  KeptNames kept;
  KeptNames::Change change = kept.change_to({{"listener.7", "socket 7"}, {"member.7", "socket 7"}});
  EXPECT_THAT(change.given, ElementsAre("listener.7"));
  change = kept.change_to({{"member.7", "socket 7"}});
  EXPECT_THAT(change.given, IsEmpty());
  EXPECT_THAT(change.taken_back, IsEmpty());
  change = kept.change_to({});
  EXPECT_THAT(change.taken_back, ElementsAre("listener.7"));
}

}  // namespace
}  // namespace holdfast
