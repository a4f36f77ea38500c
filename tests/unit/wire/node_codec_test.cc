// The bytes are those that Node.js 18 to 24 and its own primary write.
#include "wire/node_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <variant>

#include "core/node_dialect.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

template <class Message>
Message decoded(std::string_view line) {
  const Result<NodeMessage> message = decode_node_message(line);
  if (!message) {
    ADD_FAILURE() << message.error().message();
    return {};
  }
  if (!std::holds_alternative<Message>(*message)) {
    ADD_FAILURE() << line << " is message " << message->index();
    return {};
  }
  return std::get<Message>(*message);
}

template <class Message>
[[nodiscard]] bool is(std::string_view line) {
  const Result<NodeMessage> message = decode_node_message(line);
  return message && std::holds_alternative<Message>(*message);
}

TEST(NodeCodec, ReadsTheStartOfAClusterWorker) {
  EXPECT_TRUE(is<NodeOnline>(R"({"cmd":"NODE_CLUSTER","act":"online","seq":0})"));
}

TEST(NodeCodec, ReadsWhatAServerIsToListenTo) {
  const auto any = decoded<NodeQuery>(
      R"({"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":null,"port":3000,"addressType":4,"backlog":0,"seq":1})");
  EXPECT_EQ(any.number, 1);
  EXPECT_EQ(any.server, (NodeServer{NodeServer::Kind::Tcp4, "", 3000, 0}));
  EXPECT_EQ(any.data, "null");

  const auto v6 = decoded<NodeQuery>(
      R"({"cmd":"NODE_CLUSTER","act":"queryServer","index":1,"data":null,"address":"::1","port":34573,"addressType":6,"flags":1,"backlog":77,"seq":2})");
  EXPECT_EQ(v6.server, (NodeServer{NodeServer::Kind::Tcp6, "::1", 34573, 1}));

  const auto path = decoded<NodeQuery>(
      R"({"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"/abs/path.sock","port":-1,"addressType":-1,"backlog":0,"seq":2})");
  EXPECT_EQ(path.server, (NodeServer{NodeServer::Kind::Unix, "/abs/path.sock", 0, 0}));

  const auto udp = decoded<NodeQuery>(
      R"({"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":"127.0.0.1","port":5353,"addressType":"udp4","fd":-1,"flags":0,"seq":2})");
  EXPECT_EQ(udp.server, (NodeServer{NodeServer::Kind::Udp, "127.0.0.1", 5353, 0}));

  const auto descriptor = decoded<NodeQuery>(
      R"({"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":null,"address":null,"port":null,"addressType":null,"fd":5,"backlog":0,"seq":2})");
  EXPECT_EQ(descriptor.server.kind, NodeServer::Kind::Descriptor);
}

TEST(NodeCodec, KeepsTheDataOfATlsServerAsTheyAre) {
  const auto query = decoded<NodeQuery>(
      R"({"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"data":{"ticketKeys":"00ff"},"address":null,"port":443,"addressType":4,"seq":1})");
  EXPECT_EQ(query.data, R"({"ticketKeys":"00ff"})");
}

TEST(NodeCodec, ReadsTheLifeOfAServer) {
  const auto listening = decoded<NodeListening>(
      R"({"cmd":"NODE_CLUSTER","act":"listening","index":0,"data":null,"address":null,"port":3000,"addressType":4,"backlog":0,"seq":2})");
  EXPECT_EQ(listening.server, (NodeServer{NodeServer::Kind::Tcp4, "", 3000, 0}));
  EXPECT_EQ(decoded<NodeClosed>(R"({"cmd":"NODE_CLUSTER","act":"close","key":"K1","seq":4})").key, "K1");
  EXPECT_EQ(decoded<NodeLeaves>(R"({"cmd":"NODE_CLUSTER","act":"exitedAfterDisconnect","seq":4})").number, 4);
}

TEST(NodeCodec, ReadsTheAnswersToAConnection) {
  EXPECT_TRUE(is<NodeHandleArrived>(R"({"cmd":"NODE_HANDLE_ACK"})"));
  EXPECT_TRUE(is<NodeHandleArrived>(R"({ "cmd" : "NODE_HANDLE_ACK" })"));
  EXPECT_TRUE(is<NodeHandleMissing>(R"({"cmd":"NODE_HANDLE_NACK"})"));
  const auto yes = decoded<NodeAnswered>(R"({"cmd":"NODE_CLUSTER","ack":1,"accepted":true,"seq":3})");
  EXPECT_EQ(yes.number, 1);
  EXPECT_TRUE(yes.accepted);
  EXPECT_FALSE(decoded<NodeAnswered>(R"({"cmd":"NODE_CLUSTER","ack":2,"accepted":false,"seq":4})").accepted);
}

TEST(NodeCodec, ReadsWhatIsOfNoMeaningForUs) {
  EXPECT_TRUE(is<NodeOther>(R"({"cmd":"NODE_CLUSTER","act":"new in Node 42","seq":9})"));
  EXPECT_TRUE(is<NodeOther>(R"({"cmd":"NODE_SOCKET_NOTIFY_CLOSE","key":"x"})"));
  EXPECT_TRUE(is<NodeHandleOffered>(R"({"cmd":"NODE_HANDLE","type":"net.Socket","msg":"take it"})"));
}

TEST(NodeCodec, ReadsWhatAProgramSays) {
  EXPECT_TRUE(is<NodeStarted>(R"("ready")"));
  EXPECT_TRUE(is<NodeServerCloses>(R"({"type":"close"})"));
  EXPECT_EQ(decoded<NodeText>(R"({"type":"close","more":1})").payload, R"({"type":"close","more":1})");
  EXPECT_EQ(decoded<NodeText>(R"({"cmd":"NODE_"})").payload, R"({"cmd":"NODE_"})")
      << "the prefix alone is the program's";
  EXPECT_EQ(decoded<NodeText>("42").payload, "42");
  const auto open = decoded<NodeClientSession>(R"({"type":"sticky:connection","data":"Wk3pG3cNrjOBmZQtAAAA"})");
  EXPECT_EQ(open.id, "Wk3pG3cNrjOBmZQtAAAA");
  EXPECT_TRUE(open.open);
  EXPECT_FALSE(decoded<NodeClientSession>(R"({"type":"sticky:disconnection","data":"Wk3pG3cNrjOBmZQtAAAA"})").open);
}

TEST(NodeCodec, ReadsWhatAnAdapterSaysAndKeepsItsText) {
  const std::string broadcast =
      R"({"type":3,"data":{"packet":{"type":2,"data":["all","\ud83d"]},"opts":{"rooms":[],"except":[],"flags":{}}},"uid":"b3dfb728b8ba4eec","nsp":"/","source":"_sio_adapter"})";
  const auto message = decoded<NodeAdapterMessage>(broadcast);
  EXPECT_EQ(message.type, 3);
  EXPECT_EQ(message.uid, "b3dfb728b8ba4eec");
  EXPECT_EQ(message.name_space, "/");
  EXPECT_EQ(message.requester, "");
  EXPECT_EQ(message.payload, broadcast);
  EXPECT_EQ(decoded<NodeAdapterMessage>(
                R"({"type":8,"data":{},"uid":"a","nsp":"/","source":"_sio_adapter","requesterUid":"b"})")
                .requester,
            "b");
}

TEST(NodeCodec, KnowsBunsOwnProtocol) {
  EXPECT_TRUE(is<NodeBunWorker>("\x02{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\",\"seq\":0}"));
}

TEST(NodeCodec, RefusesWhatBreaksTheProtocol) {
  for (const char* line :
       {"", "garbage", "{", R"({"cmd":"NODE_HANDLE_ACK"}x)",
        R"({"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"port":3000,"addressType":4})",
        R"({"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"port":70000,"addressType":4,"seq":1})",
        R"({"cmd":"NODE_CLUSTER","act":"queryServer","index":0,"port":80,"addressType":5,"seq":1})",
        R"({"cmd":"NODE_CLUSTER","act":"queryServer","index":-1,"port":80,"addressType":4,"seq":1})",
        R"({"cmd":"NODE_CLUSTER","act":"listening","index":0,"port":3000})",
        R"({"cmd":"NODE_CLUSTER","act":"exitedAfterDisconnect"})",
        R"({"cmd":"NODE_CLUSTER","ack":"1","accepted":true})", R"({"cmd":"NODE_CLUSTER","ack":1,"accepted":"yes"})",
        R"({"cmd":"NODE_CLUSTER","ack":1.5,"accepted":true})"}) {
    const Result<NodeMessage> message = decode_node_message(line);
    EXPECT_FALSE(message) << line;
    EXPECT_TRUE(message || !message.error().message().empty());
  }
}

TEST(NodeCodec, AnErrorShowsTheBeginningOfALongLine) {
  const Result<NodeMessage> message = decode_node_message(std::string(100'000, 'x'));
  ASSERT_FALSE(message);
  EXPECT_LT(message.error().message().size(), 300u);
}

TEST(NodeCodec, WritesTheAnswersToAQuery) {
  const TcpAddress v4{TcpAddress::Family::V4, *IpAddress::parse("127.0.0.1"), 3000};
  EXPECT_EQ(
      encode(NodeGranted{1, 0, "K1", v4, "null"}),
      R"({"cmd":"NODE_CLUSTER","seq":0,"ack":1,"errno":null,"key":"K1","data":null,"sockname":{"address":"127.0.0.1","family":"IPv4","port":3000}})"
      "\n");
  EXPECT_THAT(encode(NodeGranted{1, 0, "K1", TcpAddress{TcpAddress::Family::DualStack, {}, 80}, "null"}),
              HasSubstr(R"("sockname":{"address":"::","family":"IPv6","port":80})"));
  EXPECT_THAT(encode(NodeGranted{1, 0, "K1", TcpAddress{TcpAddress::Family::V6, {}, 80}, "null"}),
              HasSubstr(R"("address":"::")"));
  EXPECT_EQ(encode(NodeGranted{2, 5, "K2", std::nullopt, R"({"ticketKeys":"00"})"}),
            R"({"cmd":"NODE_CLUSTER","seq":5,"ack":2,"errno":null,"key":"K2","data":{"ticketKeys":"00"}})"
            "\n");
  EXPECT_EQ(encode(NodeRefused{1, 0, "K1", 98}),
            R"({"cmd":"NODE_CLUSTER","seq":0,"ack":1,"errno":-98,"key":"K1","data":null})"
            "\n");
}

TEST(NodeCodec, WritesConnections) {
  EXPECT_EQ(
      encode(NodeNewConnection{1, "K1"}),
      R"({"cmd":"NODE_HANDLE","type":"net.Native","msg":{"cmd":"NODE_CLUSTER","seq":1,"act":"newconn","key":"K1"}})"
      "\n");
  EXPECT_EQ(encode(NodeConnectionMessage{R"("sticky:balance")"}),
            R"({"cmd":"NODE_HANDLE","type":"net.Socket","msg":"sticky:balance"})"
            "\n");
}

TEST(NodeCodec, WritesTheRest) {
  EXPECT_EQ(encode(NodeDisconnect{2}), "{\"cmd\":\"NODE_CLUSTER\",\"seq\":2,\"act\":\"disconnect\"}\n");
  EXPECT_EQ(encode(NodeMayLeave{4, 1}), "{\"cmd\":\"NODE_CLUSTER\",\"seq\":1,\"ack\":4}\n");
  EXPECT_EQ(encode(NodeHandleTaken{}), "{\"cmd\":\"NODE_HANDLE_ACK\"}\n");
  EXPECT_EQ(encode(NodeAdapterGone{"a\"b", "/chat"}),
            R"({"source":"_sio_adapter","type":13,"uid":"a\"b","nsp":"/chat"})"
            "\n");
  EXPECT_EQ(encode(NodeShutdown{}), "\"shutdown\"\n");
  EXPECT_EQ(encode(NodeSay{R"({"a":1})"}), "{\"a\":1}\n");
}

TEST(NodeDialects, AreKnownByTheirNames) {
  for (const NodeDialectWords& words : kNodeDialects) {
    EXPECT_EQ(parse_node_dialect(words.name), words.dialect);
    EXPECT_EQ(&words_of(words.dialect), &words) << "the table is in the order of the enum";
    EXPECT_TRUE(words.connection.empty() || decode_node_message(words.connection)) << words.name;
  }
  EXPECT_FALSE(parse_node_dialect("sticky"));
}

}  // namespace
}  // namespace holdfast
