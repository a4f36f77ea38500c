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

}  // namespace
}  // namespace holdfast
