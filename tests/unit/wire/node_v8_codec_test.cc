// In V8's serialization. What comes from a worker are the bytes that Node.js 18, 20, 22 and 24 wrote.
#include "wire/node_v8_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "unit/wire/hex.h"
#include "wire/node_codec.h"
#include "wire/v8_reader.h"
#include "wire/v8_text.h"
#include "wire/v8_writer.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

constexpr auto kAdvanced = NodeSerialization::Advanced;

template <class Message>
Message decode(const std::string& bytes) {
  const Result<NodeMessage> message = decode_node_message(bytes, kAdvanced);
  EXPECT_TRUE(message) << (message ? "" : message.error().message());
  if (!message) return {};
  EXPECT_TRUE(std::holds_alternative<Message>(*message)) << message->index();
  return std::holds_alternative<Message>(*message) ? std::get<Message>(*message) : Message{};
}

std::string written(const char* json) { return V8Writer().json(parse_json(json)).message(); }

// What an order is, for people; with its length checked.
std::string text_of(const NodeOrder& order) {
  const std::string frame = encode(order, kAdvanced);
  std::size_t length = 0;
  for (std::size_t i = 0; i < 4; i++) length = length << 8U | static_cast<unsigned char>(frame[i]);
  EXPECT_EQ(length, frame.size() - 4);
  return v8_text(std::string_view(frame).substr(4), 10'000);
}

TEST(NodeV8Codec, WhatClusterSays) {
  (void)decode<NodeOnline>(
      from_hex("ff0f6f2203636d64220c4e4f44455f434c5553544552220361637422066f6e6c696e65220373657149007b03"));
  const auto query = decode<NodeQuery>(from_hex(
      "ff0f6f2203636d64220c4e4f44455f434c55535445522203616374220b71756572795365727665722205696e6465784900220464"
      "6174613022076164647265737322093132372e302e302e312204706f727449f02e220b616464726573735479706549082202666"
      "45f2205666c616773490022076261636b6c6f674900220373657149027b0b"));
  EXPECT_EQ(query.number, 1);
  EXPECT_EQ(query.server, (NodeServer{NodeServer::Kind::Tcp4, "127.0.0.1", 3000, 0}));
  EXPECT_EQ(query.data, "0") << "null, as it was written";
}

TEST(NodeV8Codec, WhatAServerOfTlsSharesIsKeptAsItIs) {
  const std::string query = written(
      R"({"cmd":"NODE_CLUSTER","act":"queryServer","seq":4,"index":1,"address":null,"port":443,"addressType":6,
          "data":{"ticketKeys":"aa"}})");
  const auto heard = decode<NodeQuery>(query);
  EXPECT_EQ(heard.data, from_hex("6f220a7469636b65744b657973220261617b01"));
  EXPECT_EQ(text_of(NodeGranted{4, 0, "K", TcpAddress{TcpAddress::Family::V4, {}, 443}, heard.data}),
            R"({"cmd":"NODE_CLUSTER","seq":0,"ack":4,"errno":null,"key":"K","data":{"ticketKeys":"aa"},)"
            R"("sockname":{"address":"0.0.0.0","family":"IPv4","port":443}})");
}

TEST(NodeV8Codec, DataThatReferElsewhereAreNotTakenOver) {
  // {"a": {}, "data": <a>}: by its number, which is another object in another message.
  EXPECT_EQ(decode<NodeQuery>(from_hex("ff0f6f220161"
                                       "6f7b00"
                                       "2204"
                                       "64617461"
                                       "5e01"
                                       "2203636d64220c4e4f44455f434c5553544552"
                                       "2203616374220b7175657279536572766572"
                                       "2205696e6465784900"
                                       "2204706f7274490a"
                                       "220b61646472657373547970654908"
                                       "220373657149027b08"))
                .data,
            "0");
}

TEST(NodeV8Codec, TheOtherMessagesOfNode) {
  EXPECT_EQ(
      decode<NodeListening>(
          written(
              R"({"cmd":"NODE_CLUSTER","act":"listening","index":0,"address":"/a.sock","port":-1,"addressType":-1})"))
          .server,
      (NodeServer{NodeServer::Kind::Unix, "/a.sock", 0, 0}));
  const auto answered = decode<NodeAnswered>(written(R"({"cmd":"NODE_CLUSTER","ack":7,"accepted":true,"seq":3})"));
  EXPECT_EQ(answered.number, 7);
  EXPECT_TRUE(answered.accepted);
  EXPECT_EQ(decode<NodeClosed>(written(R"({"cmd":"NODE_CLUSTER","act":"close","key":"K1"})")).key, "K1");
  EXPECT_EQ(decode<NodeLeaves>(written(R"({"cmd":"NODE_CLUSTER","act":"exitedAfterDisconnect","seq":9})")).number, 9);
  (void)decode<NodeHandleArrived>(written(R"({"cmd":"NODE_HANDLE_ACK"})"));
  (void)decode<NodeHandleMissing>(written(R"({"cmd":"NODE_HANDLE_NACK"})"));
  (void)decode<NodeHandleOffered>(written(R"({"cmd":"NODE_HANDLE","type":"net.Socket"})"));
  (void)decode<NodeOther>(from_hex("ff0f6f2203636d6422064e4f44455f587b01"));
}

TEST(NodeV8Codec, WhatProgramsSayIsKeptAsItIs) {
  (void)decode<NodeStarted>(from_hex("ff0f22057265616479"));
  const std::string broadcast = from_hex(
      "ff0f6f22047479706549062204646174616f2201625c000a036865797b012206736f75726365220c5f73696f5f61646170746572"
      "220375696422017522036e737022012f7b05");
  const auto adapter = decode<NodeAdapterMessage>(broadcast);
  EXPECT_EQ(adapter.type, 3);
  EXPECT_EQ(adapter.uid, "u");
  EXPECT_EQ(adapter.name_space, "/");
  EXPECT_EQ(adapter.payload, broadcast) << "bytes and all";
  for (const char* hex : {"ff0f5c000a03010203", "ff0f3b490249043a02", "ff0f7703", "ff0f30"}) {
    EXPECT_EQ(decode<NodeText>(from_hex(hex)).payload, from_hex(hex));
  }
  EXPECT_EQ(decode<NodeClientSession>(written(R"({"type":"sticky:connection","data":"abc"})")).id, "abc");
  EXPECT_FALSE(decode<NodeClientSession>(written(R"({"type":"sticky:disconnection","data":"abc"})")).open);
  EXPECT_EQ(decode<NodeServerCloses>(written(R"({"type":"close"})")).payload, written(R"({"type":"close"})"));
  (void)decode<NodeText>(written(R"({"type":"close","why":"x"})"));
}

TEST(NodeV8Codec, WhatIsNoneIsAnError) {
  for (const char* hex : {"", "7b7d", "ff0f", "ff0f6f", "ff0f6f7b01", "ff0f3030"}) {
    EXPECT_FALSE(decode_node_message(from_hex(hex), kAdvanced)) << hex;
  }
  EXPECT_FALSE(decode_node_message(written(R"({"cmd":"NODE_CLUSTER","act":"queryServer","seq":"x"})"), kAdvanced));
  EXPECT_THAT(decode_node_message(from_hex("ff1030"), kAdvanced).error().message(),
              HasSubstr("version 16 of V8's serialization"));
}

TEST(NodeV8Codec, WhatWeSay) {
  EXPECT_EQ(text_of(NodeRefused{5, 1, "K", 99}),
            R"({"cmd":"NODE_CLUSTER","seq":1,"ack":5,"errno":-99,"key":"K","data":null})");
  EXPECT_EQ(
      text_of(NodeNewConnection{7, "K"}),
      R"({"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_CLUSTER","seq":7,"act":"newconn","key":"K"}})");
  EXPECT_EQ(text_of(NodeConnectionMessage{R"({"msg":"sticky:balance","payload":null})"}),
            R"({"cmd":"NODE_HANDLE","type":"net.Socket","msg":{"msg":"sticky:balance","payload":null}})");
  EXPECT_EQ(text_of(NodeDisconnect{2}), R"({"cmd":"NODE_CLUSTER","seq":2,"act":"disconnect"})");
  EXPECT_EQ(text_of(NodeMayLeave{3, 4}), R"({"cmd":"NODE_CLUSTER","seq":4,"ack":3})");
  EXPECT_EQ(text_of(NodeHandleTaken{}), R"({"cmd":"NODE_HANDLE_ACK"})");
  EXPECT_EQ(text_of(NodeAdapterGone{"u", "/"}), R"({"source":"_sio_adapter","type":13,"uid":"u","nsp":"/"})");
  EXPECT_EQ(text_of(NodeShutdown{}), R"("shutdown")");
  EXPECT_EQ(text_of(NodeSay{from_hex("ff0f5c000a03010203")}), "[Buffer]");
}

TEST(NodeV8Codec, JsonBecomesTheSameValue) {
  for (const char* json : {R"({"a":[1,-2,1.5,true,false,null,"x"],"b":{"c":{}},"d":[]})", "\"\xe2\x82\xac\"", "7"}) {
    EXPECT_EQ(v8_text(written(json), 1000), json);
  }
  EXPECT_EQ(v8_text(written("9007199254740991"), 1000), "9007199254740991") << "beyond 32 bits it is a double";
}

TEST(NodeV8Codec, TheLogHasItLikeJson) {
  EXPECT_EQ(readable_node_text(written(R"({"said":"x"})"), kAdvanced, 100), R"({"said":"x"})");
  EXPECT_EQ(readable_node_text("{\"said\":\"xyz\"}", NodeSerialization::Json, 10), R"({"said":"x...)");
  EXPECT_EQ(readable_node_text("1", NodeSerialization::Json, 10), "1");
}

}  // namespace
}  // namespace holdfast
