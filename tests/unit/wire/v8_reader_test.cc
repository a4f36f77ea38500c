// The bytes are those that v8.serialize() of Node.js 18, 20, 22 and 24 writes, which are the same in all of them.
#include "wire/v8_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "unit/wire/hex.h"
#include "wire/v8_text.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

constexpr std::size_t kMuch = 10'000;

std::string text_of(std::string_view hex) { return v8_text(from_hex(hex), kMuch); }

// How the reading of a message ends.
V8Token::Kind ending_of(std::string_view message) {
  V8Reader reader(message);
  for (;;) {
    const V8Token token = reader.next();
    if (token.kind != V8Token::Kind::Scalar && token.kind != V8Token::Kind::Open &&
        token.kind != V8Token::Kind::Close) {
      return token.kind;
    }
  }
}
V8Token::Kind ending_of_hex(std::string_view hex) { return ending_of(from_hex(hex)); }

struct Golden {
  const char* hex;
  const char* text;
};
constexpr Golden kGolden[] = {
    {"ff0f30", "null"},
    {"ff0f5f", "undefined"},
    {"ff0f54", "true"},
    {"ff0f46", "false"},
    {"ff0f4900", "0"},
    {"ff0f4901", "-1"},
    {"ff0f498eda9601", "1234567"},
    {"ff0f4e000000000000e041", "2147483648"},
    {"ff0f4e000000000000f83f", "1.5"},
    {"ff0f4e000000000000f87f", "NaN"},
    {"ff0f4e000000000000f0ff", "-Infinity"},
    {"ff0f4e0000000000004044", "5.902958103587057e+20"},
    {"ff0f22057265616479", "\"ready\""},
    {"ff0f6304ac203dd8", "\"\xe2\x82\xac\xef\xbf\xbd\""},  // a half pair
    {"ff0f2204636166e9", "\"caf\xc3\xa9\""},
    {"ff0f6f22016149022201622201782201634103490249046f220164307b012400037b03",
     R"({"a":1,"b":"x","c":[1,2,{"d":null}]})"},
    {"ff0f61064900220178490a4902400206", R"([0:"x",5:1])"},  // with holes
    {"ff0f61034900490249044906400203", "[0:1,2:3]"},         // [1,,3]
    {"ff0f440000000000000000", "[Date]"},
    {"ff0f3b49026f22016149047b0122016b27490249042c023a04", R"(Map{1:{"a":2},"k":Set{1,2}})"},
    {"ff0f272201612c01", R"(Set{"a"})"},
    {"ff0f522202612b03", "[RegExp]"},
    {"ff0f5a20d20a3f4eeee073c3f60fe98e01000000", "[BigInt]"},
    {"ff0f5a110500000000000000", "[BigInt]"},
    {"ff0f420400000000", "[ArrayBuffer]"},
    {"ff0f41056e000000000000f03f7322017379787a100500000000000000240005", "[[Number],[String],true,false,[BigInt]]"},
    {"ff0f6f2201616f22017849027b012201625e017b02", R"({"a":{"x":1},"b":[...]})"},  // the same object twice
    {"ff0f6f220473656c665e007b01", R"({"self":[...]})"},                           // in itself
    {"ff0f41024e000000000000f83f6f220161006302ac207b01240002", "[1.5,{\"a\":\"\xe2\x82\xac\"}]"},  // with padding
    // As process.send() writes them: views of bytes, and what has no members, are marked as objects of the host.
    {"ff0f5c000a03010203", "[Buffer]"},
    {"ff0f6f2201644400000000000000002201665c0007040000803f7b02", R"({"d":[Date],"f":[Buffer]})"},
    {"ff0f6f2201705c016f7b007b01", R"({"p":{}})"},
    // new TypeError('bad') and new Error('x', {cause: 'y'}), with shorter stacks; before 22 the cause came first.
    {"ff0f72546d2203626164732201612e", R"(Error{"bad","a"})"},
    {"ff0f726d22017863220179732201612e", R"(Error{"x","y","a"})"},
    {"ff0f726d22017873220161632201792e", R"(Error{"x","a","y"})"},
};

TEST(V8Reader, ReadsWhatNodeWrites) {
  for (const Golden& golden : kGolden) {
    EXPECT_EQ(text_of(golden.hex), golden.text) << golden.hex;
    EXPECT_EQ(ending_of_hex(golden.hex), V8Token::Kind::End) << golden.hex;
  }
}

TEST(V8Reader, EveryCutIsMalformed) {
  for (const Golden& golden : kGolden) {
    const std::string whole = from_hex(golden.hex);
    for (std::size_t length = 0; length < whole.size(); length++) {
      EXPECT_EQ(ending_of(whole.substr(0, length)), V8Token::Kind::Malformed) << golden.hex << " " << length;
    }
    EXPECT_EQ(ending_of(whole + "0"), V8Token::Kind::Malformed) << "something behind it: " << golden.hex;
  }
}

TEST(V8Reader, WhatV8WouldNotReadIsMalformed) {
  for (const char* hex : {
           "ff0f6f22016149027b02",                  // two properties are counted, there is one
           "ff0f6f2201617b01",                      // a key without a value
           "ff0f6f540a497b01",                      // a key that is no name
           "ff0f410249024904240003",                // an array of two, or of three
           "ff0f410349024904240003",                // one element too few
           "ff0f3b49027b01",                        // another end
           "ff0f3b49023a01",                        // half an entry of a map
           "ff0f5e00",                              // refers to nothing
           "ff0f6f2201615e017b01",                  // refers to what is not there yet
           "ff0f6303616263",                        // half a character
           "ff0f7e080442000000",                    // longer than it may become
           "ff0f49ffffffffffff01",                  // a number without end
           "ff0f2d",                                // a hole, in no array
           "0f30", "30", "ff", "ff0030", "ff0c30",  // no header, or one of long ago
       }) {
    EXPECT_EQ(ending_of_hex(hex), V8Token::Kind::Malformed) << hex;
  }
}

TEST(V8Reader, WhatItDoesNotKnowIsNotMalformed) {
  for (const char* hex : {"ff0f7703", "ff0f6f2201617001", "ff1030", "ff0f5c0903"}) {
    EXPECT_EQ(ending_of_hex(hex), V8Token::Kind::Unknown) << hex;
  }
}

TEST(V8Reader, NestsAsDeepAsAStrangerLikes) {
  constexpr std::size_t kDeep = 1'000'000;
  std::string message = from_hex("ff0f");
  for (std::size_t i = 0; i < kDeep; i++) message += "A\x01";
  message += '0';
  for (std::size_t i = 0; i < kDeep; i++) message += std::string("$\0\x01", 3);
  EXPECT_EQ(ending_of(message), V8Token::Kind::End);
  std::string marks = from_hex("ff0f");
  for (std::size_t i = 0; i < kDeep; i++) marks += "\\\x01";
  EXPECT_EQ(ending_of(marks + "o{" + std::string(1, '\0')), V8Token::Kind::End);
}

TEST(V8Reader, NumbersAreWhatTheySay) {
  EXPECT_EQ(v8_number('I', from_hex("01")), -1);
  EXPECT_EQ(v8_number('I', from_hex("ffffffff0f")), -2147483648.0);
  EXPECT_EQ(v8_number('I', from_hex("feffffff0f")), 2147483647.0);
  EXPECT_EQ(v8_number('U', from_hex("ffffffff0f")), 4294967295.0);
  EXPECT_TRUE(std::isnan(*v8_number('N', from_hex("000000000000f87f"))));
  EXPECT_EQ(v8_number('"', from_hex("0161")), std::nullopt);
}

TEST(V8Reader, StringsBecomeUtf8) {
  EXPECT_EQ(v8_string('c', from_hex("043dd880de")), "\xf0\x9f\x9a\x80") << "a pair";
  EXPECT_EQ(v8_string('c', from_hex("0480de3dd8")), "\xef\xbf\xbd\xef\xbf\xbd") << "the wrong way round";
  EXPECT_EQ(v8_string('S', from_hex("03e282ac")), "\xe2\x82\xac");
  EXPECT_EQ(v8_string('"', from_hex("00")), "");
  EXPECT_EQ(v8_string('I', from_hex("00")), std::nullopt);
}

TEST(V8Text, IsNotLongerThanItsLimitByMuch) {
  std::string message = from_hex("ff0f41904e");  // [0, 0, ...], ten thousand of them
  for (int i = 0; i < 10'000; i++) message += std::string("I\0", 2);
  message += from_hex("2400904e");
  ASSERT_EQ(ending_of(message), V8Token::Kind::End);
  const std::string text = v8_text(message, 100);
  EXPECT_LT(text.size(), 120u);
  EXPECT_THAT(text, HasSubstr("0,0,0"));
  EXPECT_TRUE(text.ends_with("..."));
}

}  // namespace
}  // namespace holdfast
