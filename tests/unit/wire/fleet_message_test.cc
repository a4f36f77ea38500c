#include "wire/fleet_message.h"

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

}  // namespace
}  // namespace holdfast
