#include "core/node_session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <string>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

constexpr ListenerId kFirst{0};
constexpr ListenerId kSecond{1};
constexpr TimePoint kStart{1000s};

NodeServer on_port(std::uint16_t port, std::uint32_t index = 0) { return {NodeServer::Kind::Tcp4, "", port, index}; }

NodeServers::Granted granted(ListenerId listener, std::uint16_t port) {
  return {listener, TcpAddress{TcpAddress::Family::V4, {}, port}, "null"};
}

// A session, and what came of it in words.
class Talk {
 public:
  explicit Talk(NodeSession::Policy policy = {}) : session(std::move(policy)) {}

  NodeSession session;
  TimePoint now = kStart;
  std::vector<std::string> told;  // all effects since the last call of `take`
  std::string key;                // of the server that was granted last
  std::int64_t last_number = -1;  // of the order that was sent last
  std::optional<NodeQuery> asked;

  std::vector<std::string> take() { return std::exchange(told, {}); }
  // Whether the message was within the protocol.
  bool say(const NodeMessage& message) {
    Result<NodeSession::Effects> effects = session.on_message(message, now);
    if (!effects) {
      told.push_back("error: " + effects.error().message());
      return false;
    }
    note(*effects);
    return true;
  }
  void note(const NodeSession::Effects& effects) {
    for (const NodeSession::Effect& effect : effects)
      told.push_back(std::visit([this](const auto& e) { return this->in_words(e); }, effect));
  }
  // The worker opens a server for a listener.
  void listen(ListenerId listener, std::uint16_t port) {
    ASSERT_TRUE(say(NodeQuery{1, on_port(port), "null"}));
    note(session.answer(*asked, granted(listener, port)));
    ASSERT_TRUE(say(NodeListening{on_port(port)}));
  }
  // Sends a connection and answers the number of its order.
  std::int64_t send(std::uint64_t connection, ListenerId listener = kFirst) {
    EXPECT_TRUE(session.may_send(listener, now));
    const NodeOrder order = session.connection_order(listener);
    session.on_sent(connection, listener, now);
    const auto* newconn = std::get_if<NodeNewConnection>(&order);
    return newconn != nullptr ? newconn->number : -1;
  }
  bool answer(std::int64_t number, bool accepted = true) {
    return say(NodeHandleArrived{}) && say(NodeAnswered{number, accepted});
  }

 private:
  std::string in_words(const NodeSession::Send& send) {
    return std::visit([this](const auto& order) { return this->sent(order); }, send.order);
  }
  static std::string in_words(const NodeSession::TakenUp& e) { return "taken " + std::to_string(e.connection); }
  static std::string in_words(const NodeSession::CameBack& e) { return "back " + std::to_string(e.connection); }
  std::string in_words(const NodeSession::Asked& e) {
    asked = e.query;
    return "asked " + to_text(e.query.server);
  }
  static std::string in_words(const NodeSession::IsReady&) { return "ready"; }
  static std::string in_words(const NodeSession::StopsAccepting&) { return "stops accepting"; }
  static std::string in_words(const NodeSession::AcceptsAgain&) { return "accepts again"; }
  static std::string in_words(const NodeSession::Leaves&) { return "leaves"; }
  static std::string in_words(const NodeSession::Finish&) { return "finish"; }
  static std::string in_words(const NodeSession::Heard& e) {
    if (const auto* text = std::get_if<NodeText>(&e.message)) return "heard " + text->payload;
    if (const auto* session = std::get_if<NodeClientSession>(&e.message)) return "session " + session->id;
    return "adapter " + std::get<NodeAdapterMessage>(e.message).uid;
  }
  std::string sent(const NodeGranted& order) {
    key = order.key;
    last_number = order.number;
    return "granted " + std::to_string(order.answers);
  }
  static std::string sent(const NodeRefused& order) {
    return "refused " + std::to_string(order.answers) + " " + std::to_string(order.error);
  }
  std::string sent(const NodeDisconnect& order) {
    last_number = order.number;
    return "disconnect";
  }
  static std::string sent(const NodeMayLeave& order) { return "may leave " + std::to_string(order.answers); }
  static std::string sent(const NodeHandleTaken&) { return "handle taken"; }
  static std::string sent(const NodeShutdown&) { return "shutdown"; }
  static std::string sent(const NodeSay& order) { return "say " + order.payload; }
  template <class Other>
  static std::string sent(const Other&) {
    return "something else";
  }
};

using Told = std::vector<std::string>;

TEST(NodeSession, AWorkerIsReadyWhenItsFirstServerIsOpen) {
  Talk talk;
  EXPECT_TRUE(talk.say(NodeOnline{}));
  EXPECT_TRUE(talk.say(NodeQuery{1, on_port(3000), "null"}));
  EXPECT_FALSE(talk.session.may_send(kFirst, kStart));
  talk.note(talk.session.answer(*talk.asked, granted(kFirst, 3000)));
  EXPECT_FALSE(talk.session.may_send(kFirst, kStart)) << "granted is not open";
  EXPECT_EQ(talk.take(), (Told{"asked server.listen(3000)", "granted 1"}));
  EXPECT_TRUE(talk.say(NodeListening{on_port(3000)}));
  EXPECT_EQ(talk.take(), Told{"ready"});
  EXPECT_TRUE(talk.session.may_send(kFirst, kStart));
  EXPECT_FALSE(talk.session.may_send(kSecond, kStart));
}

TEST(NodeSession, UnderAutoAWorkerMayBeTakenForOneOfAnotherDialect) {
  Talk talk;
  talk.session.on_ready();
  EXPECT_FALSE(talk.session.may_send(kFirst, kStart)) << "what it is is open";
  EXPECT_TRUE(talk.session.adopt(NodeDialect::StickySession));
  EXPECT_TRUE(talk.session.may_send(kFirst, kStart));
  EXPECT_EQ(std::get<NodeConnectionMessage>(talk.session.connection_order(kFirst)).json, R"("sticky:balance")");
  talk.send(1);
  EXPECT_TRUE(talk.say(NodeHandleArrived{}));
  EXPECT_EQ(talk.take(), Told{"taken 1"});
  talk.note(talk.session.drain());
  EXPECT_EQ(talk.take(), Told{"disconnect"}) << "it was started as a worker of cluster";
}

TEST(NodeSession, UnderAutoListenOverrulesWhatAWorkerWasTakenFor) {
  Talk talk;
  EXPECT_TRUE(talk.session.adopt(NodeDialect::SocketIo));
  talk.session.on_ready();
  talk.send(1);
  talk.send(2);
  EXPECT_TRUE(talk.say(NodeHandleArrived{}));
  talk.listen(kFirst, 3000);
  talk.take();
  EXPECT_TRUE(talk.session.may_send(kFirst, kStart));
  EXPECT_FALSE(talk.session.may_send(kSecond, kStart)) << "no server for it";
  const std::int64_t number = talk.send(3);
  EXPECT_GE(number, 0) << "by newconn";
  EXPECT_TRUE(talk.say(NodeHandleArrived{})) << "the second, which came as a message";
  EXPECT_EQ(talk.take(), Told{"taken 2"});
  EXPECT_TRUE(talk.answer(number));
  EXPECT_EQ(talk.take(), Told{"taken 3"});
  EXPECT_FALSE(talk.session.adopt(NodeDialect::Plain)) << "that is settled";
}

TEST(NodeSession, AWishedDialectIsNotOverruled) {
  Talk talk({.dialect = NodeDialect::SocketIo});
  EXPECT_FALSE(talk.session.adopt(NodeDialect::Plain));
  talk.session.on_ready();
  talk.listen(kFirst, 9100);  // a server for figures
  EXPECT_EQ(talk.send(1), -1) << "by message all the same";
}

TEST(NodeSession, ARefusedServerSettlesNothing) {
  Talk talk;
  talk.say(NodeQuery{1, {NodeServer::Kind::Udp, "", 5353, 0}, "null"});
  talk.note(talk.session.answer(*talk.asked, NodeServers::Refused{ENOTSUP, "no"}));
  EXPECT_TRUE(talk.session.adopt(NodeDialect::SocketIo));
  EXPECT_EQ(talk.session.signs(), NodeSigns{});
  talk.say(NodeStarted{});
  talk.say(NodeAdapterMessage{1, "u", "/", "", "{}"});
  EXPECT_EQ(talk.session.signs(), (NodeSigns{true, true}));
}

TEST(NodeSession, AServerOnAnyPortTellsThePortThatItGot) {
  Talk talk;
  talk.say(NodeQuery{1, on_port(0), "null"});
  talk.note(talk.session.answer(*talk.asked, granted(kFirst, 40123)));
  EXPECT_TRUE(talk.say(NodeListening{on_port(40123)}));
  EXPECT_TRUE(talk.session.may_send(kFirst, kStart));
}

TEST(NodeSession, EachServerHasItsKeyAndItsConnections) {
  Talk talk;
  talk.listen(kFirst, 3000);
  const std::string first = talk.key;
  talk.listen(kSecond, 3001);
  EXPECT_NE(first, talk.key);
  EXPECT_EQ(std::get<NodeNewConnection>(talk.session.connection_order(kFirst)).key, first);
  EXPECT_EQ(std::get<NodeNewConnection>(talk.session.connection_order(kSecond)).key, talk.key);
  EXPECT_EQ(talk.take(),
            (Told{"asked server.listen(3000)", "granted 1", "ready", "asked server.listen(3001)", "granted 1"}))
      << "ready once";
}

TEST(NodeSession, ASecondServerOnTheSameListenerIsInUse) {
  Talk talk;
  talk.listen(kFirst, 3000);
  talk.take();
  talk.say(NodeQuery{7, on_port(3000, 1), "null"});
  talk.note(talk.session.answer(*talk.asked, granted(kFirst, 3000)));
  EXPECT_EQ(talk.take(), (Told{"asked server.listen(3000)", "refused 7 " + std::to_string(EADDRINUSE)}));
}

TEST(NodeSession, ARefusalReachesTheProgram) {
  Talk talk;
  talk.say(NodeQuery{4, on_port(9100), "null"});
  talk.take();
  talk.note(talk.session.answer(*talk.asked, NodeServers::Refused{EADDRNOTAVAIL, "why"}));
  EXPECT_EQ(talk.take(), Told{"refused 4 " + std::to_string(EADDRNOTAVAIL)});
}

TEST(NodeSession, AConnectionIsOnItsWayUntilItIsAcknowledgedAndAccepted) {
  Talk talk;
  talk.listen(kFirst, 3000);
  talk.take();
  const std::int64_t number = talk.send(11);
  EXPECT_EQ(talk.session.in_flight(), 1u);
  EXPECT_TRUE(talk.say(NodeHandleArrived{}));
  EXPECT_EQ(talk.take(), Told{}) << "it has the descriptor, and may still refuse";
  EXPECT_TRUE(talk.say(NodeAnswered{number, true}));
  EXPECT_EQ(talk.take(), Told{"taken 11"});
  EXPECT_EQ(talk.session.in_flight(), 0u);
}

TEST(NodeSession, ManyMayBeOnTheirWayAndEachIsAnsweredByItsNumber) {
  Talk talk({.most_in_flight = 3});
  talk.listen(kFirst, 3000);
  talk.take();
  const std::int64_t a = talk.send(1);
  const std::int64_t b = talk.send(2);
  const std::int64_t c = talk.send(3);
  EXPECT_FALSE(talk.session.may_send(kFirst, talk.now));
  for (int i = 0; i < 3; i++) EXPECT_TRUE(talk.say(NodeHandleArrived{}));
  EXPECT_TRUE(talk.say(NodeAnswered{b, true}));
  EXPECT_TRUE(talk.say(NodeAnswered{a, true}));
  EXPECT_TRUE(talk.say(NodeAnswered{c, true}));
  EXPECT_EQ(talk.take(), (Told{"taken 2", "taken 1", "taken 3"}));
}

TEST(NodeSession, OneThatIsNotAcceptedComesBackAndTheWorkerIsFullForAWhile) {
  Talk talk({.most_in_flight = 8, .full_pause = 50ms});
  talk.listen(kFirst, 3000);
  talk.take();
  EXPECT_TRUE(talk.answer(talk.send(5), false));
  EXPECT_EQ(talk.take(), Told{"back 5"});
  EXPECT_FALSE(talk.session.may_send(kFirst, talk.now));
  EXPECT_EQ(talk.session.next_deadline(talk.now), talk.now + 50ms);
  talk.now += 50ms;
  EXPECT_EQ(talk.session.next_deadline(talk.now), kNever);
  const std::int64_t probe = talk.send(5);
  EXPECT_FALSE(talk.session.may_send(kFirst, talk.now)) << "one at first";
  EXPECT_TRUE(talk.answer(probe));
  talk.send(6);
  talk.send(7);
  EXPECT_FALSE(talk.session.may_send(kFirst, talk.now)) << "then two";
}

TEST(NodeSession, OneWhoseDescriptorWasLostOnTheWayComesBack) {
  Talk talk;
  talk.listen(kFirst, 3000);
  talk.take();
  talk.send(1);
  const std::int64_t second = talk.send(2);
  EXPECT_TRUE(talk.say(NodeHandleMissing{}));
  EXPECT_EQ(talk.take(), Told{"back 1"});
  EXPECT_FALSE(talk.session.may_send(kFirst, talk.now)) << "it is at its limit of open files";
  EXPECT_TRUE(talk.answer(second));
  EXPECT_EQ(talk.take(), Told{"taken 2"});
}

TEST(NodeSession, WhatAWorkerHadNotAnsweredForComesBackInOrderWhenItIsGone) {
  Talk talk;
  talk.listen(kFirst, 3000);
  talk.take();
  for (std::uint64_t i = 1; i <= 3; i++) talk.send(i);
  EXPECT_TRUE(talk.say(NodeHandleArrived{})) << "acknowledged is not accepted";
  talk.note(talk.session.on_end());
  EXPECT_EQ(talk.take(), (Told{"leaves", "back 1", "back 2", "back 3"}));
  EXPECT_FALSE(talk.session.may_send(kFirst, talk.now));
  talk.note(talk.session.on_end());
  EXPECT_EQ(talk.take(), Told{});
}

TEST(NodeSession, AWorkerThatIsToldToDrainGetsNothingMoreAndAnswersForTheRest) {
  Talk talk;
  talk.listen(kFirst, 3000);
  const std::int64_t number = talk.send(1);
  talk.take();
  talk.note(talk.session.drain());
  EXPECT_EQ(talk.take(), Told{"disconnect"});
  EXPECT_FALSE(talk.session.may_send(kFirst, talk.now));
  talk.note(talk.session.drain());
  EXPECT_EQ(talk.take(), Told{}) << "once";
  EXPECT_TRUE(talk.answer(number));
  EXPECT_TRUE(talk.say(NodeClosed{talk.key}));
  EXPECT_EQ(talk.take(), Told{"taken 1"});
  talk.note(talk.session.on_end());
  EXPECT_EQ(talk.take(), Told{}) << "as it was told";
}

TEST(NodeSession, AWorkerMayLeaveByItself) {
  Talk talk;
  talk.listen(kFirst, 3000);
  talk.take();
  EXPECT_TRUE(talk.say(NodeClosed{talk.key}));
  EXPECT_EQ(talk.take(), Told{"stops accepting"});
  EXPECT_FALSE(talk.session.may_send(kFirst, talk.now));
  EXPECT_TRUE(talk.say(NodeLeaves{4}));
  EXPECT_EQ(talk.take(), (Told{"may leave 4", "leaves"}));
  talk.note(talk.session.drain());
  EXPECT_EQ(talk.take(), Told{}) << "to be told so too would end it with an error";
  talk.note(talk.session.on_end());
  EXPECT_EQ(talk.take(), Told{});
}

TEST(NodeSession, AServerThatIsOpenedAgainServesAgain) {
  Talk talk;
  talk.listen(kFirst, 3000);
  const std::string first = talk.key;
  EXPECT_TRUE(talk.say(NodeClosed{first}));
  talk.take();
  talk.listen(kFirst, 3000);
  EXPECT_EQ(talk.take(), (Told{"asked server.listen(3000)", "granted 1", "accepts again"}));
  EXPECT_NE(talk.key, first);
  EXPECT_TRUE(talk.session.may_send(kFirst, talk.now));
}

TEST(NodeSession, ConnectionsThatComeAsMessagesWaitUntilTheWorkerIsReady) {
  Talk talk({.dialect = NodeDialect::StickySession});
  EXPECT_TRUE(talk.say(NodeOnline{}));
  EXPECT_FALSE(talk.session.may_send(kFirst, kStart)) << "Node would acknowledge it, and the program not be there";
  talk.session.on_ready();
  EXPECT_TRUE(talk.session.may_send(kFirst, kStart));
  EXPECT_EQ(std::get<NodeConnectionMessage>(talk.session.connection_order(kFirst)).json, "\"sticky:balance\"");
  talk.send(3);
  EXPECT_TRUE(talk.say(NodeHandleArrived{}));
  EXPECT_EQ(talk.take(), Told{"taken 3"}) << "the acknowledgement is all that comes";
}

TEST(NodeSession, TheMessageOfAConnectionCanBeChosen) {
  Talk talk({.dialect = NodeDialect::Plain, .connection_message = R"({"mine":1})"});
  EXPECT_TRUE(talk.say(NodeStarted{}));
  EXPECT_EQ(talk.take(), Told{"ready"});
  EXPECT_EQ(std::get<NodeConnectionMessage>(talk.session.connection_order(kFirst)).json, R"({"mine":1})");
}

TEST(NodeSession, AStickySessionWorkerWhoseServerClosesIsReplaced) {
  Talk talk({.dialect = NodeDialect::StickySession});
  talk.session.on_ready();
  EXPECT_TRUE(talk.say(NodeServerCloses{R"({"type":"close"})"}));
  EXPECT_EQ(talk.take(), Told{"leaves"});
  talk.note(talk.session.drain());
  EXPECT_EQ(talk.take(), Told{"disconnect"});
  Talk other;
  EXPECT_TRUE(other.say(NodeServerCloses{R"({"type":"close"})"}));
  EXPECT_EQ(other.take(), Told{R"(heard {"type":"close"})"}) << "of others it is their own word";
}

TEST(NodeSession, AChildThatIsNoClusterWorkerIsDrainedByTheEndOfItsChannel) {
  Talk talk({.dialect = NodeDialect::Plain, .say_shutdown = true});
  talk.note(talk.session.drain());
  EXPECT_EQ(talk.take(), (Told{"shutdown", "finish"}));
}

TEST(NodeSession, ReadinessByMessageWaitsForTheMessage) {
  Talk talk({.readiness = NodeSession::Readiness::Message});
  talk.listen(kFirst, 3000);
  EXPECT_EQ(talk.take(), (Told{"asked server.listen(3000)", "granted 1"}));
  EXPECT_THAT(talk.session.why_not_ready(), HasSubstr("'ready'"));
  EXPECT_TRUE(talk.say(NodeStarted{}));
  EXPECT_TRUE(talk.say(NodeStarted{}));
  EXPECT_EQ(talk.take(), Told{"ready"});
}

TEST(NodeSession, SaysWhyAWorkerIsNotReady) {
  Talk talk;
  EXPECT_THAT(talk.session.why_not_ready(), HasSubstr("never spoke"));
  talk.say(NodeOnline{});
  EXPECT_THAT(talk.session.why_not_ready(), HasSubstr("exclusive"));
  talk.say(NodeQuery{1, on_port(3000), "null"});
  talk.note(talk.session.answer(*talk.asked, granted(kFirst, 3000)));
  EXPECT_THAT(talk.session.why_not_ready(), HasSubstr("has not opened"));
}

TEST(NodeSession, WhatAProgramSaysIsPassedOn) {
  Talk talk;
  EXPECT_TRUE(talk.say(NodeText{"1"}));
  EXPECT_TRUE(talk.say(NodeClientSession{"sid", true}));
  EXPECT_TRUE(talk.say(NodeAdapterMessage{3, "uid", "/", "", "{}"}));
  EXPECT_TRUE(talk.say(NodeHandleOffered{}));
  EXPECT_EQ(talk.take(), (Told{"heard 1", "session sid", "adapter uid", "handle taken"}));
}

TEST(NodeSession, AnAnswerToWhatWasNotSentBreaksTheProtocol) {
  EXPECT_FALSE(Talk().say(NodeHandleArrived{}));
  EXPECT_FALSE(Talk().say(NodeHandleMissing{}));
  EXPECT_FALSE(Talk().say(NodeAnswered{0, true}));
  Talk twice;
  twice.listen(kFirst, 3000);
  const std::int64_t number = twice.send(1);
  EXPECT_TRUE(twice.say(NodeAnswered{number, true})) << "the acknowledgement may come later";
  EXPECT_FALSE(twice.say(NodeAnswered{number, true}));
  Talk again;
  again.listen(kFirst, 3000);
  const std::int64_t other = again.send(1);
  EXPECT_TRUE(again.answer(other));
  EXPECT_FALSE(again.say(NodeAnswered{other, true}));
  EXPECT_FALSE(again.say(NodeHandleArrived{}));
  Talk by_message({.dialect = NodeDialect::SocketIo});
  by_message.session.on_ready();
  by_message.send(1);
  EXPECT_FALSE(by_message.say(NodeAnswered{0, true}));
}

TEST(NodeSession, AWorkerThatListensWithoutAskingBreaksTheProtocol) {
  Talk talk;
  EXPECT_FALSE(talk.say(NodeListening{on_port(3000)}));
  EXPECT_FALSE(talk.say(NodeBunWorker{}));
  EXPECT_THAT(talk.told.back(), HasSubstr("Bun"));
}

TEST(NodeSession, ItIsAliveAsLongAsItOwesNoAnswer) {
  Talk talk;
  talk.listen(kFirst, 3000);
  EXPECT_EQ(talk.session.heartbeat(kStart + 1h, std::nullopt), kStart + 1h);
  talk.now = kStart + 1h;
  const std::int64_t first = talk.send(1);
  talk.now += 1s;
  talk.send(2);
  EXPECT_EQ(talk.session.heartbeat(kStart + 2h, std::nullopt), kStart + 1h) << "since the oldest was sent";
  talk.now += 4s;
  EXPECT_TRUE(talk.answer(first));
  EXPECT_EQ(talk.session.heartbeat(kStart + 2h, std::nullopt), talk.now) << "it was heard since";
  EXPECT_TRUE(talk.answer(1 + first));
  EXPECT_EQ(talk.session.heartbeat(kStart + 3h, std::nullopt), kStart + 3h);
  EXPECT_EQ(talk.session.heartbeat(kStart + 3h, kStart + 2h), kStart + 2h) << "what is said to it waits since then";
}

}  // namespace
}  // namespace holdfast
