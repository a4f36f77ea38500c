// Random histories: a worker that does everything a Node.js worker may do, in any order, and sometimes what none may.
// Whatever it does, a connection is in exactly one place.
#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "core/node_session.h"
#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

constexpr unsigned kListeners = 2;
constexpr unsigned kMostInFlight = 6;

// The worker and the shell around a session.
class World {
 public:
  explicit World(std::uint64_t seed)
      : random_(seed),
        by_message_(seed % 3 == 0),
        policy_{by_message_ ? NodeDialect::SocketIo : NodeDialect::Cluster,
                {},
                NodeSession::Readiness::Listening,
                false,
                kMostInFlight,
                20ms},
        session_(policy_) {
    for (std::uint64_t i = 1; i <= 40; i++) waiting_.push_back(i);
  }

  void play(int steps) {
    for (int i = 0; i < steps && !broken_; i++) {
      step();
      check();
      if (testing::Test::HasFailure()) return;
    }
    note(session_.on_end());
    EXPECT_EQ(session_.in_flight(), 0u);
    sent_.clear();
    check();
    EXPECT_LE(times_left_, 1);
  }

 private:
  struct Sent {
    std::uint64_t connection;
    std::int64_t number;
    bool acknowledged = false;
    bool answered = false;
  };

  unsigned pick(unsigned below) { return std::uniform_int_distribution<unsigned>(0, below - 1)(random_); }

  void step() {
    switch (pick(15)) {
      case 0:
        return open_server();
      case 1:
        return close_server();
      case 2:
      case 3:
      case 4:
        return send();
      case 5:
      case 6:
      case 7:
        return acknowledge();
      case 8:
      case 9:
        return answer();
      case 10:
        now_ += 7ms;
        return;
      case 11:
        session_.on_ready();
        return say(NodeText{"1"});
      case 12:
        return pick(20) == 0 ? say(NodeLeaves{1}) : pick(40) == 0 ? note(session_.drain()) : void();
      case 13:  // another program goes on
        session_ = NodeSession(policy_, session_.save());
        return;
      default:
        return pick(30) == 0 ? lie() : void();
    }
  }

  void open_server() {
    const std::uint32_t listener = pick(kListeners);
    const NodeServer server{NodeServer::Kind::Tcp4, "", static_cast<std::uint16_t>(3000 + listener), pick(2)};
    const NodeQuery query{number_++, server, "null"};
    say(query);
    const NodeSession::Effects effects = session_.answer(
        query, NodeServers::Granted{ListenerId{listener}, TcpAddress{TcpAddress::Family::V4, {}, server.port}, "null"});
    note(effects);
    ASSERT_EQ(effects.size(), 1u);
    if (const auto* granted = std::get_if<NodeGranted>(&std::get<NodeSession::Send>(effects[0]).order)) {
      EXPECT_TRUE(keys_.insert(granted->key).second) << "a key twice";
      EXPECT_EQ(servers_.count(listener), 0u) << "two servers for one listener";
      servers_[listener] = granted->key;
      say(NodeListening{server});
    }
  }

  void close_server() {
    if (servers_.empty()) return;
    const auto server = servers_.begin();
    say(NodeClosed{server->second});
    servers_.erase(server);
  }

  void send() {
    const ListenerId listener{pick(kListeners)};
    if (waiting_.empty() || !session_.may_send(listener, now_)) return;
    EXPECT_TRUE(by_message_ || servers_.count(listener.value) == 1) << "sent for a server that is not open";
    EXPECT_FALSE(drained_) << "sent after the drain";
    const NodeOrder order = session_.connection_order(listener);
    const auto* newconn = std::get_if<NodeNewConnection>(&order);
    EXPECT_EQ(newconn == nullptr, by_message_);
    EXPECT_TRUE(by_message_ || newconn->key == servers_[listener.value]);
    EXPECT_TRUE(by_message_ || numbers_.insert(newconn->number).second) << "a number twice";
    session_.on_sent(waiting_.front(), listener, now_);
    sent_.push_back(Sent{waiting_.front(), newconn != nullptr ? newconn->number : 0});
    waiting_.pop_front();
  }

  void acknowledge() {
    for (auto connection = sent_.begin(); connection != sent_.end(); ++connection) {
      if (connection->acknowledged) continue;
      if (pick(8) == 0 && !connection->answered) {
        sent_.erase(connection);
        return say(NodeHandleMissing{});
      }
      connection->acknowledged = true;
      if (by_message_ || connection->answered) sent_.erase(connection);
      return say(NodeHandleArrived{});
    }
  }

  void answer() {
    if (by_message_ || sent_.empty()) return;
    const auto connection = sent_.begin() + pick(static_cast<unsigned>(sent_.size()));
    if (connection->answered) return;
    const std::int64_t number = connection->number;
    connection->answered = true;
    if (connection->acknowledged) sent_.erase(connection);
    say(NodeAnswered{number, pick(4) != 0});
  }

  // What no worker may say: the session must see it.
  void lie() {
    const bool owes_acknowledgement =
        std::any_of(sent_.begin(), sent_.end(), [](const Sent& s) { return !s.acknowledged; });
    if (owes_acknowledgement) {
      broken_ = !session_.on_message(NodeAnswered{1'000'000, true}, now_);
    } else {
      broken_ = !session_.on_message(NodeHandleArrived{}, now_);
    }
    EXPECT_TRUE(broken_);
  }

  void say(const NodeMessage& message) {
    const Result<NodeSession::Effects> effects = session_.on_message(message, now_);
    ASSERT_TRUE(effects) << effects.error().message();
    note(*effects);
  }

  void note(const NodeSession::Effects& effects) {
    for (const NodeSession::Effect& effect : effects) {
      if (const auto* taken = std::get_if<NodeSession::TakenUp>(&effect)) {
        EXPECT_TRUE(taken_.insert(taken->connection).second) << "taken twice";
      } else if (const auto* back = std::get_if<NodeSession::CameBack>(&effect)) {
        waiting_.push_front(back->connection);
      } else if (std::holds_alternative<NodeSession::Leaves>(effect)) {
        times_left_++;
      } else if (const auto* order = std::get_if<NodeSession::Send>(&effect)) {
        drained_ |= std::holds_alternative<NodeDisconnect>(order->order);
      }
    }
  }

  void check() {
    std::set<std::uint64_t> everywhere(taken_);
    std::size_t count = taken_.size() + waiting_.size() + sent_.size();
    everywhere.insert(waiting_.begin(), waiting_.end());
    for (const Sent& sent : sent_) everywhere.insert(sent.connection);
    EXPECT_EQ(count, 40u);
    EXPECT_EQ(everywhere.size(), 40u) << "a connection in two places";
    EXPECT_EQ(session_.in_flight(), sent_.size());
    EXPECT_LE(session_.in_flight(), kMostInFlight);
    EXPECT_GT(session_.next_deadline(now_), now_);
    EXPECT_LE(session_.heartbeat(now_, std::nullopt), now_);
  }

  std::mt19937_64 random_;
  const bool by_message_;
  const NodeSession::Policy policy_;
  NodeSession session_;
  TimePoint now_{1000s};
  std::int64_t number_ = 0;
  std::deque<std::uint64_t> waiting_;
  std::deque<Sent> sent_;
  std::set<std::uint64_t> taken_;
  std::map<std::uint32_t, std::string> servers_;
  std::set<std::string> keys_;
  std::set<std::int64_t> numbers_;
  int times_left_ = 0;
  bool drained_ = false;
  bool broken_ = false;
};

TEST(NodeSessionHistory, AConnectionIsAlwaysInExactlyOnePlace) {
  const std::uint64_t seed = random_seed();
  for (std::uint64_t i = 0; i < 2000 && !testing::Test::HasFailure(); i++) World(seed + i).play(400);
}

}  // namespace
}  // namespace holdfast
