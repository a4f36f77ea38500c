#include "wire/socketio_packet.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace holdfast {
namespace {

using testing::HasSubstr;

nlohmann::json content(const SocketioPacket& packet) { return nlohmann::json::from_msgpack(packet.payload); }

// Recorded of @socket.io/redis-adapter 8.3.0, but for the name of the sender.
TEST(SocketioPacket, IsWhatTheRedisAdapterPublishes) {
  const auto packet = socketio_packet({.event = "hi", .json = R"({"a":1})"});
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->channel, "socket.io#/#");
  EXPECT_EQ(content(*packet), nlohmann::json::parse(R"(["emitter",{"type":2,"data":["hi",{"a":1}],"nsp":"/"},
                                                       {"rooms":[],"except":[],"flags":{}}])"));
  EXPECT_EQ(packet->payload.substr(0, 10),
            "\x93\xa7"
            "emitter\x83");
}

TEST(SocketioPacket, OfARoomHasAChannelOfItsOwn) {
  const auto packet = socketio_packet({.name_space = "/game", .room = "r1", .event = "go"});
  ASSERT_TRUE(packet);
  EXPECT_EQ(packet->channel, "socket.io#/game#r1#");
  EXPECT_EQ(content(*packet)[1]["data"], nlohmann::json::array({"go"})) << "no argument";
  EXPECT_EQ(content(*packet)[2]["rooms"], nlohmann::json::array({"r1"}));
}

TEST(SocketioPacket, IsNotMadeOfNonsense) {
  EXPECT_THAT(socketio_packet({.name_space = "game", .event = "go"}).error().message(), HasSubstr("begin with '/'"));
  EXPECT_THAT(socketio_packet({.event = ""}).error().message(), HasSubstr("no name"));
  EXPECT_THAT(socketio_packet({.event = "go", .json = "hello"}).error().message(), HasSubstr("'hello' is not JSON"));
}

}  // namespace
}  // namespace holdfast
