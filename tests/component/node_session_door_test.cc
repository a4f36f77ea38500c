#include "worker/node_session_door.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "component/run_until.h"
#include "loop/loop.h"
#include "sys/loopback_pair.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

const std::string kSession = "abcdefghijklmnopqrst";
const std::string kRequest = "GET /socket.io/?EIO=4&transport=polling&sid=" + kSession + " HTTP/1.1\r\n";

class NodeSessionDoorTest : public testing::Test {
 protected:
  void make(std::size_t most_waiting = NodeSessionDoor::kMostWaiting) {
    NodeSessionDoor::Hooks hooks;
    hooks.slot_of = [this](const std::string& session) -> std::optional<SlotId> {
      asked_++;
      if (on_asked_) on_asked_();
      const auto known = known_.find(session);
      return known == known_.end() ? std::nullopt : std::optional(known->second);
    };
    hooks.on_placed = [this](const Connection& connection, std::optional<SlotId> slot) {
      placed_.emplace_back(connection.record.id, slot);
    };
    hooks.on_overflow = [this] { overflows_++; };
    door_.emplace(loop_, std::move(hooks), most_waiting);
  }
  // The client's end.
  BorrowedFd come() {
    Result<LoopbackPair> pair = make_loopback_pair();
    EXPECT_TRUE(pair);
    ConnectionRecord record{};
    record.id = ++last_;
    door_->take(Connection{std::move(pair->theirs.fd), record});
    clients_.push_back(std::move(pair->ours));
    return clients_.back();
  }
  static void say(BorrowedFd client, const std::string& text) {
    ASSERT_EQ(::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
  }

  Loop loop_;
  std::optional<NodeSessionDoor> door_;
  std::vector<UniqueFd> clients_;
  std::map<std::string, SlotId> known_;
  std::function<void()> on_asked_;
  std::vector<std::pair<std::uint64_t, std::optional<SlotId>>> placed_;
  int asked_ = 0;
  int overflows_ = 0;
  std::uint64_t last_ = 0;
};

TEST_F(NodeSessionDoorTest, AKnownSessionGoesWhereItLives) {
  make();
  known_[kSession] = SlotId{3};
  say(come(), kRequest);
  ASSERT_TRUE(run_until(loop_, [&] { return !placed_.empty(); }));
  EXPECT_THAT(placed_, ElementsAre(Pair(1u, SlotId{3})));
}

TEST_F(NodeSessionDoorTest, WhoAsksForAnUnknownOneIsLookedAtTwice) {
  make();
  say(come(), kRequest);
  ASSERT_TRUE(run_until(loop_, [&] { return !placed_.empty(); }));
  EXPECT_THAT(placed_, ElementsAre(Pair(1u, std::nullopt)));
  EXPECT_EQ(asked_, 2) << "when it came, and when its time was over";
}

TEST_F(NodeSessionDoorTest, OneThatIsAnnouncedMeanwhileIsPlacedAtOnce) {
  make();
  bool announced = false;
  on_asked_ = [this, &announced] {
    if (asked_ < 2 || std::exchange(announced, true)) return;
    loop_.defer([this] {
      known_[kSession] = SlotId{1};
      door_->on_session("another");
      door_->on_session(kSession);
      EXPECT_THAT(placed_, IsEmpty()) << "we are inside a call of an inbox";
    });
  };
  std::string other = kRequest;
  other.replace(other.find(kSession), kSession.size(), "ABCDEFGHIJKLMNOPQRST");
  const BorrowedFd first = come();
  const BorrowedFd second = come();
  say(first, other);
  say(second, kRequest);
  ASSERT_TRUE(run_until(loop_, [&] { return placed_.size() == 2; }));
  EXPECT_THAT(placed_, ElementsAre(Pair(2u, SlotId{1}), Pair(1u, std::nullopt))) << "the other one has waited in vain";
  door_->on_session(kSession);  // nobody waits for it any more
}

TEST_F(NodeSessionDoorTest, ARequestThatComesInPiecesIsWaitedFor) {
  make();
  known_[kSession] = SlotId{2};
  const BorrowedFd client = come();
  say(client, kRequest.substr(0, 30));
  run_for(loop_, std::chrono::milliseconds(30));
  say(client, kRequest.substr(30));
  ASSERT_TRUE(run_until(loop_, [&] { return !placed_.empty(); }));
  EXPECT_THAT(placed_, ElementsAre(Pair(1u, SlotId{2})));
}

TEST_F(NodeSessionDoorTest, OfTooManyTheFirstIsPlacedByItsAddress) {
  make(2);
  (void)come();
  (void)come();
  EXPECT_EQ(overflows_, 0);
  known_[kSession] = SlotId{0};
  say(come(), kRequest);
  EXPECT_EQ(overflows_, 1);
  EXPECT_THAT(placed_, ElementsAre(Pair(1u, std::nullopt)));
  ASSERT_TRUE(run_until(loop_, [&] { return placed_.size() > 1; }));
  EXPECT_EQ(placed_[1], std::pair(std::uint64_t{3}, std::optional(SlotId{0})));
  door_->open();
  EXPECT_EQ(placed_.size(), 3u);
}

}  // namespace
}  // namespace holdfast
