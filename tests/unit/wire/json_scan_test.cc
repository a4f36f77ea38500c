#include "wire/json_scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::FieldsAre;
using testing::IsEmpty;
using testing::Optional;

TEST(JsonScan, GivesTheMembersOfTheOutermostObjectAsTheyStand) {
  EXPECT_THAT(scan_json(R"( {"a":1 , "b" : {"a":[1,{"c":2}]},"c":[ ],"d":"x,}\"","e":null} )"),
              Optional(ElementsAre(FieldsAre("a", "1"), FieldsAre("b", R"({"a":[1,{"c":2}]})"), FieldsAre("c", "[ ]"),
                                   FieldsAre("d", R"("x,}\"")"), FieldsAre("e", "null"))));
}

TEST(JsonScan, WhatIsNoObjectHasNoMembers) {
  for (const char* text : {"1", "-0.5e+3", "\"x\"", "true", "false", "null", "[]", R"([{"a":1}])", "{}", "0"}) {
    EXPECT_THAT(scan_json(text), Optional(IsEmpty())) << text;
  }
}

TEST(JsonScan, TakesWhatOnlyJavaScriptTakesForText) {
  EXPECT_TRUE(scan_json(R"({"half":"\ud83d"})"));
  EXPECT_TRUE(scan_json("\"\xff\xfe\""));
}

TEST(JsonScan, NestsAsDeeplyAsItIsWritten) {
  constexpr std::size_t kDepth = 200'000;
  EXPECT_TRUE(scan_json(std::string(kDepth, '[') + std::string(kDepth, ']')));
  EXPECT_FALSE(scan_json(std::string(kDepth, '[') + std::string(kDepth - 1, ']')));
}

TEST(JsonScan, RefusesWhatIsNotExactlyOneValue) {
  for (const char* text : {"",
                           " ",
                           "{",
                           "}",
                           "[",
                           "{]",
                           "[}",
                           "[1,]",
                           "[,1]",
                           "[1 2]",
                           "{\"a\"}",
                           "{\"a\":}",
                           "{\"a\":1,}",
                           "{a:1}",
                           "{1:2}",
                           "1 2",
                           "{} {}",
                           "tru",
                           "True",
                           "nul",
                           "01",
                           "-",
                           "1.",
                           ".5",
                           "1e",
                           "1e+",
                           "+1",
                           "\"",
                           "\"\\\"",
                           "\"\\x\"",
                           "\"\\u12g4\"",
                           "\"\\u12",
                           "\"a\tb\"",
                           "\"a\nb\"",
                           "\x02{}",
                           "NaN",
                           "{\"a\":1,,\"b\":2}",
                           "{\"a\":1 \"b\":2}"}) {
    EXPECT_FALSE(scan_json(text)) << text;
  }
}

TEST(JsonScan, OfMembersOfOneNameTheLastCounts) {
  const auto members = scan_json(R"({"cmd":"a","x":1,"cmd":"b"})");
  EXPECT_EQ(member(*members, "cmd"), R"("b")");
  EXPECT_EQ(member(*members, "y"), "");
  EXPECT_EQ(member(*scan_json(R"({"\u0063md":7})"), "cmd"), "7") << "a name may be written with escapes";
}

TEST(JsonScan, ReadsScalars) {
  EXPECT_THAT(json_string(R"("a\n\u00e9")"), Optional(std::string("a\n\xc3\xa9")));
  EXPECT_THAT(json_string(R"("")"), Optional(std::string()));
  EXPECT_FALSE(json_string("1"));
  EXPECT_FALSE(json_string(""));
  EXPECT_FALSE(json_string(R"("\ud83d")")) << "no text that we could hold";
  EXPECT_THAT(json_integer("-12"), Optional(-12));
  EXPECT_FALSE(json_integer("1.5"));
  EXPECT_FALSE(json_integer(""));
  EXPECT_FALSE(json_integer("99999999999999999999"));
  EXPECT_THAT(json_boolean("true"), Optional(true));
  EXPECT_THAT(json_boolean("false"), Optional(false));
  EXPECT_FALSE(json_boolean("1"));
}

}  // namespace
}  // namespace holdfast
