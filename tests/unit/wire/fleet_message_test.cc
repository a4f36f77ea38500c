#include "wire/fleet_message.h"

#include <holdfast/bus_channel.h>

#include <string>

#include <gmock/gmock.h>

namespace holdfast {
namespace {

TEST(FleetMessage, IsReadBackAsItWasWritten) {
  const std::string bytes =
      encode({FleetMessage::Kind::Message, 0x0123456789abcdef, 42, "a.b", std::string("x\0y", 3)});
  const auto message = decode_fleet_message(bytes);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->node, 0x0123456789abcdefU);
  EXPECT_EQ(message->sequence, 42u);
  EXPECT_EQ(message->topic, "a.b");
  EXPECT_EQ(message->data, std::string_view("x\0y", 3));
}

TEST(FleetMessage, ForOneWorkerSaysForWhich) {
  FleetMessage call{FleetMessage::Kind::Call, 5, 6, "chat", "data"};
  call.key = "room 1";
  call.slot = 3;
  call.member = 17;
  call.status = -110;
  const std::string bytes = encode(call);
  const auto read = decode_fleet_message(bytes);
  ASSERT_TRUE(read);
  EXPECT_EQ(read->kind, FleetMessage::Kind::Call);
  EXPECT_EQ(read->topic, "chat");
  EXPECT_EQ(read->key, "room 1");
  EXPECT_EQ(read->data, "data");
  EXPECT_EQ(read->slot, 3u);
  EXPECT_EQ(read->member, 17u);
  EXPECT_EQ(read->status, -110);
  for (std::size_t length = 0; length < bytes.size() - 4; length++)
    EXPECT_FALSE(decode_fleet_message(bytes.substr(0, length))) << length;
}

TEST(FleetMessage, NothingElseIsOne) {
  const std::string good = encode({FleetMessage::Kind::Message, 1, 2, "a.b", "x"});
  for (std::size_t length = 0; length < 29; length++)
    EXPECT_FALSE(decode_fleet_message(good.substr(0, length))) << length;
  std::string newer = good;
  newer[4] = 9;
  EXPECT_FALSE(decode_fleet_message(newer));
  EXPECT_FALSE(decode_fleet_message("HFB2" + good.substr(4)));
  EXPECT_FALSE(decode_fleet_message(encode({FleetMessage::Kind::Message, 1, 2, "a..b", "x"})));
  EXPECT_TRUE(decode_fleet_message(encode({FleetMessage::Kind::Beat, 1, 2, "", "{}"})));
}

TEST(FleetMessage, WhatAWorkerCouldNotBeGivenIsRefused) {
  using enum FleetMessage::Kind;
  const std::string longest(HF_BUS_MAX_INLINE, 'x');
  const std::string name(HF_BUS_MAX_NAME, 'n');
  const std::string nul("a\0b", 3);
  for (const FleetMessage::Kind kind : {Message, Send, Call, Reply}) {
    EXPECT_TRUE(decode_fleet_message(encode({kind, 1, 2, name, longest, name})));
    EXPECT_FALSE(decode_fleet_message(encode({kind, 1, 2, name, longest + "x"})));
    EXPECT_FALSE(decode_fleet_message(encode({kind, 1, 2, name + "n", "x"})));
    EXPECT_FALSE(decode_fleet_message(encode({kind, 1, 2, nul, "x"})));
  }
  for (const FleetMessage::Kind kind : {Send, Call}) {
    EXPECT_FALSE(decode_fleet_message(encode({kind, 1, 2, "main", "x", name + "n"})));
    EXPECT_FALSE(decode_fleet_message(encode({kind, 1, 2, "main", "x", nul})));
  }
}

FleetMessage part_of(FleetMessage::Kind kind, std::uint32_t size, std::uint32_t offset, std::string_view data) {
  FleetMessage part{kind, 1, 2, "a.b", data};
  part.size = size;
  part.offset = offset;
  return part;
}

TEST(FleetMessage, APartSaysOfWhatItIsOneAndWhere) {
  using enum FleetMessage::Kind;
  for (const FleetMessage::Kind kind : {Message, Send, Call, Reply}) {
    FleetMessage part = part_of(kind, 100'000, 65'536, "data");
    if (kind != Message) part.key = "room 1";
    const std::string bytes = encode(part);
    const auto read = decode_fleet_message(bytes);
    ASSERT_TRUE(read);
    EXPECT_TRUE(read->is_part());
    EXPECT_EQ(read->kind, kind);
    EXPECT_EQ(read->topic, "a.b");
    EXPECT_EQ(read->key, part.key);
    EXPECT_EQ(read->size, 100'000u);
    EXPECT_EQ(read->offset, 65'536u);
    EXPECT_EQ(read->data, "data");
    EXPECT_EQ(bytes[4], 7) << "which is no kind to those who know no parts";
    for (std::size_t length = 0; length < bytes.size() - 4; length++)
      EXPECT_FALSE(decode_fleet_message(bytes.substr(0, length))) << length;
  }
}

TEST(FleetMessage, APartIsWithinItsMessage) {
  using enum FleetMessage::Kind;
  const auto is_one = [](const FleetMessage& part) { return decode_fleet_message(encode(part)).has_value(); };
  EXPECT_TRUE(is_one(part_of(Message, 65'537, 65'536, "x")));
  EXPECT_TRUE(is_one(part_of(Message, HF_BUS_MAX_MESSAGE, 0, std::string(HF_BUS_MAX_INLINE, 'x'))));
  EXPECT_FALSE(is_one(part_of(Message, 65'537, 65'536, "xx"))) << "beyond its end";
  EXPECT_FALSE(is_one(part_of(Message, 65'537, 65'538, "")));
  EXPECT_FALSE(is_one(part_of(Message, 65'537, UINT32_MAX, "x")));
  EXPECT_FALSE(is_one(part_of(Message, 65'536, 0, "x"))) << "of a message that is not large";
  EXPECT_FALSE(is_one(part_of(Message, HF_BUS_MAX_MESSAGE + 1, 0, "x"))) << "or too large";
  EXPECT_FALSE(is_one(part_of(Message, HF_BUS_MAX_MESSAGE, 0, std::string(HF_BUS_MAX_INLINE + 1, 'x'))));
  EXPECT_FALSE(is_one(part_of(Beat, 65'537, 0, "x")));
  EXPECT_FALSE(is_one(part_of(Returned, 65'537, 0, "x")));
  std::string in_itself = encode(part_of(Message, 65'537, 0, "x"));
  in_itself[5] = 7;
  EXPECT_FALSE(decode_fleet_message(in_itself));
}

}  // namespace
}  // namespace holdfast
