// A session that goes on after the sudden end of who had it: what it knows is older than what the worker has heard and
// said.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <utility>

#include "core/node_session.h"
#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

constexpr ListenerId kFirst{0};
constexpr TimePoint kStart{1000s};
const NodeServer kServer{NodeServer::Kind::Tcp4, "", 3000, 0};

NodeServers::Granted granted() { return {kFirst, TcpAddress{TcpAddress::Family::V4, {}, 3000}, "null"}; }

NodeSession::Effects hear(NodeSession& session, const NodeMessage& message, TimePoint now = kStart) {
  Result<NodeSession::Effects> effects = session.on_message(message, now);
  EXPECT_TRUE(effects) << effects.error().message();
  return effects ? *std::move(effects) : NodeSession::Effects{};
}
bool breaks(NodeSession session, const NodeMessage& message) { return !session.on_message(message, kStart); }

template <class Order>
Order order_in(const NodeSession::Effects& effects) {
  EXPECT_EQ(effects.size(), 1U);
  return std::get<Order>(std::get<NodeSession::Send>(effects.at(0)).order);
}

// One that serves, as long as nobody was killed.
NodeSession serving(const NodeSession::Policy& policy = {}) {
  NodeSession session(policy);
  if (!session.by_newconn()) {
    session.on_ready();
    return session;
  }
  (void)hear(session, NodeQuery{1, kServer});
  (void)session.answer(NodeQuery{1, kServer}, granted());
  (void)hear(session, NodeListening{kServer});
  return session;
}
NodeSession after_a_kill(const NodeSession& session, const NodeSession::Policy& policy = {}) {
  return NodeSession(policy, NodeSession::recovered(session.save()));
}
// Answers the number of the question.
std::int64_t ask(NodeSession& session, TimePoint now = kStart) {
  EXPECT_TRUE(session.may_ask(now));
  const NodeSession::Question question = session.question();
  session.on_question_sent(now);
  EXPECT_FALSE(session.may_ask(now)) << "once";
  const auto* newconn = std::get_if<NodeNewConnection>(&question.order);
  EXPECT_EQ(question.with_descriptor, newconn != nullptr);
  return newconn != nullptr ? newconn->number : -1;
}
std::int64_t send(NodeSession& session, std::uint64_t connection) {
  EXPECT_TRUE(session.may_send(kFirst, kStart));
  const NodeOrder order = session.connection_order(kFirst);
  session.on_sent(connection, kFirst, kStart);
  const auto* newconn = std::get_if<NodeNewConnection>(&order);
  return newconn != nullptr ? newconn->number : -1;
}

TEST(NodeSessionRecovered, NothingIsSentBeforeAQuestionIsAnsweredAndNoAnswerBeforeItCounts) {
  NodeSession before = serving();
  const NodeSession saved = before;
  const std::int64_t unknown = send(before, 1);
  NodeSession session = after_a_kill(saved);
  EXPECT_FALSE(session.may_send(kFirst, kStart));
  EXPECT_TRUE(session.takes(kFirst, kStart)) << "a worker that serves, all the same";
  EXPECT_TRUE(hear(session, NodeHandleArrived{}).empty());
  const std::int64_t number = ask(session);
  EXPECT_GT(number, unknown + 1'000'000);
  EXPECT_TRUE(hear(session, NodeAnswered{unknown, true}).empty());
  EXPECT_TRUE(hear(session, NodeHandleArrived{}).empty());
  EXPECT_FALSE(session.may_send(kFirst, kStart));
  EXPECT_TRUE(hear(session, NodeAnswered{number, false}).empty());
  const std::int64_t ours = send(session, 2);
  EXPECT_GT(ours, number);
  EXPECT_TRUE(hear(session, NodeHandleArrived{}).empty());
  EXPECT_EQ(std::get<NodeSession::TakenUp>(hear(session, NodeAnswered{ours, true}).at(0)).connection, 2U);
}

TEST(NodeSessionRecovered, FromThenOnAnAnswerToNothingBreaksTheProtocolAsEver) {
  NodeSession session = after_a_kill(serving());
  const std::int64_t number = ask(session);
  (void)hear(session, NodeAnswered{number, false});
  EXPECT_TRUE(breaks(session, NodeHandleArrived{}));
  EXPECT_TRUE(breaks(session, NodeHandleMissing{}));
  EXPECT_TRUE(breaks(session, NodeAnswered{number, false}));
}

TEST(NodeSessionRecovered, AQuestionWhoseDescriptorWasPerhapsMissedIsAskedOnceMoreAfterAPause) {
  NodeSession session = after_a_kill(serving());
  (void)hear(session, NodeHandleMissing{});
  const std::int64_t first = ask(session);
  (void)hear(session, NodeHandleMissing{});
  EXPECT_FALSE(session.may_ask(kStart));
  const TimePoint later = session.next_deadline(kStart);
  const std::int64_t second = ask(session, later);
  (void)hear(session, NodeAnswered{first, false});  // the one that was missed was another's
  EXPECT_FALSE(session.may_send(kFirst, later)) << "the second's acknowledgement is still to come";
  (void)hear(session, NodeHandleArrived{});
  (void)hear(session, NodeAnswered{second, false});
  EXPECT_TRUE(session.may_send(kFirst, later));
}

TEST(NodeSessionRecovered, AChildThatIsNoClusterWorkerTellsThatTheDescriptorOfTheQuestionIsMissing) {
  const NodeSession::Policy plain{.dialect = NodeDialect::Plain};
  NodeSession session = after_a_kill(serving(plain), plain);
  EXPECT_FALSE(session.may_send(kFirst, kStart));
  (void)hear(session, NodeHandleMissing{});
  (void)ask(session);
  (void)hear(session, NodeHandleArrived{});
  EXPECT_FALSE(session.may_send(kFirst, kStart));
  EXPECT_TRUE(hear(session, NodeHandleMissing{}).empty());
  (void)send(session, 1);
  EXPECT_EQ(std::get<NodeSession::TakenUp>(hear(session, NodeHandleArrived{}).at(0)).connection, 1U);
}

TEST(NodeSessionRecovered, OneThatDoesNotServeYetOrNoMoreIsNotAsked) {
  NodeSession starting = after_a_kill(NodeSession(NodeSession::Policy{}));
  EXPECT_FALSE(starting.may_ask(kStart));
  NodeSession drained = serving();
  (void)drained.drain();
  NodeSession draining = after_a_kill(drained);
  EXPECT_FALSE(draining.may_ask(kStart));
  EXPECT_TRUE(hear(draining, NodeHandleArrived{}).empty()) << "to what the one before has sent";
  EXPECT_TRUE(hear(draining, NodeAnswered{5, true}).empty());
}

TEST(NodeSessionRecovered, WhoDoesNotAnswerTheQuestionIsNotAlive) {
  NodeSession session = after_a_kill(serving());
  EXPECT_EQ(session.heartbeat(kStart + 1h, std::nullopt), kStart + 1h);
  (void)ask(session, kStart + 1h);
  EXPECT_EQ(session.heartbeat(kStart + 2h, std::nullopt), kStart + 1h);
}

TEST(NodeSessionRecovered, OneThatWaitsToListenIsToldSoOnceMoreWithTheSameKey) {
  NodeSession session(NodeSession::Policy{});
  (void)hear(session, NodeQuery{7, kServer, "1"});
  const auto told = order_in<NodeGranted>(session.answer(NodeQuery{7, kServer, "1"}, granted()));
  NodeSession next = after_a_kill(session);
  const NodeSession::Effects asked = next.ask_again();
  ASSERT_EQ(asked.size(), 1U);
  const NodeQuery query = std::get<NodeSession::Asked>(asked[0]).query;
  const auto again = order_in<NodeGranted>(next.answer(query, granted()));
  EXPECT_EQ(again.answers, 7);
  EXPECT_EQ(again.key, told.key);
  (void)hear(next, NodeListening{kServer});
  EXPECT_TRUE(next.ask_again().empty());
  const NodeServer other{NodeServer::Kind::Tcp4, "", 3001, 0};
  (void)hear(next, NodeQuery{8, other});
  EXPECT_NE(
      order_in<NodeGranted>(next.answer(NodeQuery{8, other}, {NodeServers::Granted{ListenerId{1}, {}, "null"}})).key,
      told.key);
}

TEST(NodeSessionRecovered, AKeyThatTheOneBeforeGaveOutUnknownToUsIsNotGivenAgain) {
  NodeSession before = serving();
  NodeSession session = after_a_kill(before);
  const NodeServers::Granted other{ListenerId{1}, {}, "null"};
  const NodeQuery query{8, {NodeServer::Kind::Tcp4, "", 3001, 0}};
  const auto unknown = order_in<NodeGranted>(before.answer(query, other));
  EXPECT_NE(order_in<NodeGranted>(session.answer(query, other)).key, unknown.key);
}

TEST(NodeSessionRecovered, AnotherIsWantedOnce) {
  NodeSession session = after_a_kill(serving());
  EXPECT_EQ(std::get<NodeSession::Leaves>(session.dismiss("so").at(0)).why, "so");
  EXPECT_TRUE(session.dismiss("so").empty());
  EXPECT_FALSE(session.may_ask(kStart));
}

// Random histories: a worker as Node.js is, the two ways of its channel, and supervisors that are killed at any moment,
// of whom the next knows what was written down some time before.
class World {
 public:
  explicit World(std::uint64_t seed)
      : random_(seed), policy_(policy_of(seed)), session_(serving(policy_)), saved_(session_.save()) {}

  void play(int steps) {
    for (int i = 0; i < steps && !testing::Test::HasFailure(); i++) step();
    // Nobody is killed any more.
    for (int i = 0; i < 2000 && !testing::Test::HasFailure(); i++) {
      now_ += 60ms;
      ask();
      while (!to_worker_.empty()) answer_one();
      while (!to_us_.empty()) hear_one();
    }
    EXPECT_EQ(session_.in_flight(), 0U);
    EXPECT_TRUE(session_.may_send(kFirst, now_)) << "it is not found out what is what";
  }

 private:
  struct Sent {
    std::uint64_t connection;  // 0: a question
    std::optional<std::int64_t> number;
    bool with_descriptor = true;
  };

  static NodeSession::Policy policy_of(std::uint64_t seed) {
    constexpr NodeDialect kOfEachKind[] = {NodeDialect::Cluster, NodeDialect::SocketIo, NodeDialect::Plain};
    return {.dialect = kOfEachKind[seed % 3], .most_in_flight = 6, .full_pause = 20ms};
  }
  unsigned pick(unsigned below) { return std::uniform_int_distribution<unsigned>(0, below - 1)(random_); }

  void step() {
    switch (pick(9)) {
      case 0:
      case 1:
        return send();
      case 2:
        return ask();
      case 3:
      case 4:
        return answer_one();
      case 5:
      case 6:
        return hear_one();
      case 7:
        now_ += 7ms;
        if (pick(4) == 0) saved_ = session_.save();
        return;
      default:
        if (pick(8) == 0) kill();
    }
  }

  // What is in the channel stays there. The answer to the question of a plain child has no number: two cannot be told
  // apart.
  void kill() {
    const auto has_descriptor = [](const Sent& sent) { return sent.with_descriptor; };
    const auto is_missing = [](const NodeMessage& m) { return std::holds_alternative<NodeHandleMissing>(m); };
    if (policy_.dialect == NodeDialect::Plain && (!std::all_of(to_worker_.begin(), to_worker_.end(), has_descriptor) ||
                                                  std::any_of(to_us_.begin(), to_us_.end(), is_missing)))
      return;
    session_ = NodeSession(policy_, NodeSession::recovered(saved_));
    saved_ = session_.save();
    ours_.clear();
  }
  void send() {
    if (!session_.may_send(kFirst, now_)) return;
    const NodeOrder order = session_.connection_order(kFirst);
    const auto* newconn = std::get_if<NodeNewConnection>(&order);
    session_.on_sent(++last_, kFirst, now_);
    ours_.insert(last_);
    to_worker_.push_back({last_, newconn != nullptr ? std::optional(newconn->number) : std::nullopt});
  }
  void ask() {
    if (!session_.may_ask(now_)) return;
    const NodeSession::Question question = session_.question();
    const auto* newconn = std::get_if<NodeNewConnection>(&question.order);
    session_.on_question_sent(now_);
    to_worker_.push_back(
        {0, newconn != nullptr ? std::optional(newconn->number) : std::nullopt, question.with_descriptor});
  }
  void answer_one() {
    if (to_worker_.empty()) return;
    const Sent sent = to_worker_.front();
    to_worker_.pop_front();
    const bool at_its_limit = policy_.dialect != NodeDialect::Plain && pick(6) == 0;
    if (!sent.with_descriptor) {
      EXPECT_TRUE(to_worker_.empty()) << "the next descriptor would be taken for its own";
    }
    if (!sent.with_descriptor || at_its_limit) return to_us_.push_back(NodeHandleMissing{});
    to_us_.push_back(NodeHandleArrived{});
    const bool accepted = sent.connection != 0 && (!sent.number || pick(5) != 0);
    if (accepted) has_.insert(sent.connection);
    if (sent.number) to_us_.push_back(NodeAnswered{*sent.number, accepted});
  }
  void hear_one() {
    if (to_us_.empty()) return;
    const NodeMessage message = to_us_.front();
    to_us_.pop_front();
    const Result<NodeSession::Effects> effects = session_.on_message(message, now_);
    ASSERT_TRUE(effects) << effects.error().message();
    for (const NodeSession::Effect& effect : *effects) {
      if (const auto* taken = std::get_if<NodeSession::TakenUp>(&effect)) {
        EXPECT_EQ(ours_.erase(taken->connection), 1U);
        EXPECT_TRUE(has_.contains(taken->connection)) << "our copy was closed, and the worker has none";
      } else if (const auto* back = std::get_if<NodeSession::CameBack>(&effect)) {
        EXPECT_EQ(ours_.erase(back->connection), 1U);
        EXPECT_FALSE(has_.contains(back->connection)) << "it would be served twice";
      }
    }
  }

  std::mt19937_64 random_;
  const NodeSession::Policy policy_;
  NodeSession session_;
  NodeSession::Saved saved_;
  TimePoint now_ = kStart;
  std::uint64_t last_ = 0;
  std::set<std::uint64_t> ours_;  // connections of which the present supervisor has a copy
  std::set<std::uint64_t> has_;   // that the worker has taken up
  std::deque<Sent> to_worker_;
  std::deque<NodeMessage> to_us_;
};

TEST(NodeSessionRecovered, WhateverWasUnderWayNoConnectionIsTakenForAnother) {
  const std::uint64_t seed = random_seed();
  for (std::uint64_t i = 0; i < 2000 && !testing::Test::HasFailure(); i++) World(seed + i).play(300);
}

}  // namespace
}  // namespace holdfast
