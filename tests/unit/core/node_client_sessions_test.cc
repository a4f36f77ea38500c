#include "core/node_client_sessions.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace holdfast {
namespace {

constexpr WorkerId kOne{1};
constexpr WorkerId kTwo{2};
const std::string kSession = "Wk3pG3cNrjOBmZQtAAAA";
const std::string kOther = "-_3pG3cNrjOBmZQtAAAB";

TEST(NodeClientSessions, BelongToTheWorkerThatAnnouncedThem) {
  NodeClientSessions sessions;
  EXPECT_EQ(sessions.worker_of(kSession), std::nullopt);
  sessions.on_session(kOne, {kSession, true});
  sessions.on_session(kTwo, {kOther, true});
  EXPECT_EQ(sessions.worker_of(kSession), kOne);
  EXPECT_EQ(sessions.worker_of(kOther), kTwo);
  sessions.on_session(kOne, {kSession, false});
  EXPECT_EQ(sessions.worker_of(kSession), std::nullopt);
}

TEST(NodeClientSessions, NoWorkerTakesOrEndsThoseOfAnother) {
  NodeClientSessions sessions;
  sessions.on_session(kOne, {kSession, true});
  sessions.on_session(kTwo, {kSession, true});
  EXPECT_EQ(sessions.worker_of(kSession), kOne);
  sessions.on_session(kTwo, {kSession, false});
  EXPECT_EQ(sessions.worker_of(kSession), kOne);
}

TEST(NodeClientSessions, GoWithTheirWorker) {
  NodeClientSessions sessions;
  sessions.on_session(kOne, {kSession, true});
  sessions.on_session(kTwo, {kOther, true});
  sessions.on_gone(kOne);
  EXPECT_EQ(sessions.worker_of(kSession), std::nullopt);
  EXPECT_EQ(sessions.worker_of(kOther), kTwo);
}

TEST(NodeClientSessions, AreNotRememberedWithoutEnd) {
  NodeClientSessions sessions;
  sessions.on_session(kOne, {std::string(100'000, 'x'), true});
  EXPECT_EQ(sessions.size(), 0u) << "not what Engine.IO gives out";
  for (int i = 0; i < 300'000; i++) {
    const std::string number = std::to_string(i);
    sessions.on_session(kOne, {std::string(20 - number.size(), 'a') + number, true});
  }
  EXPECT_EQ(sessions.size(), std::size_t{1} << 18);
}

std::string numbered(std::size_t number) {
  const std::string digits = std::to_string(number);
  return std::string(20 - digits.size(), 'a') + digits;
}

TEST(NodeClientSessions, AreSavedByTheirWorkers) {
  NodeClientSessions sessions;
  sessions.on_session(kOne, {kSession, true});
  sessions.on_session(kTwo, {kOther, true});
  NodeClientSessions upgraded, recovered;
  upgraded.adopt(sessions.workers());
  recovered.adopt(sessions.newest());
  for (NodeClientSessions& next : {std::ref(upgraded), std::ref(recovered)}) {
    EXPECT_EQ(next.size(), 2U);
    EXPECT_EQ(next.worker_of(kSession), kOne);
    EXPECT_EQ(next.worker_of(kOther), kTwo);
    next.on_gone(kOne);
    EXPECT_EQ(next.size(), 1U);
  }
}

TEST(NodeClientSessions, OfVeryManyThoseThatWereOpenedLastAreSavedAgainAndAgain) {
  NodeClientSessions sessions;
  const std::size_t all = 2 * NodeClientSessions::kMostOfNewest;
  for (std::size_t i = 0; i < all; i++) sessions.on_session(i % 2 == 0 ? kOne : kTwo, {numbered(i), true});
  NodeClientSessions next;
  next.adopt(sessions.newest());
  EXPECT_EQ(next.size(), NodeClientSessions::kMostOfNewest);
  EXPECT_EQ(next.worker_of(numbered(all - 1)), kTwo);
  EXPECT_EQ(next.worker_of(numbered(all / 2)), kOne);
  EXPECT_EQ(next.worker_of(numbered(all / 2 - 1)), std::nullopt);
  sessions.on_gone(kTwo);
  EXPECT_EQ(sessions.newest().size(), 1U);
  NodeClientSessions upgraded;
  upgraded.adopt(sessions.workers());
  EXPECT_EQ(upgraded.size(), all / 2);
}

TEST(NodeClientSessions, AreNamedInTheQuery) {
  EXPECT_EQ(session_in("/socket.io/?EIO=4&transport=polling&t=abc&sid=" + kSession), kSession);
  EXPECT_EQ(session_in("/socket.io/?sid=" + kOther + "&EIO=4"), kOther);
  EXPECT_EQ(session_in("/?sid=" + kSession + "#fragment"), kSession);
  for (const char* target :
       {"", "/", "/?", "/?sid=", "/?sid=short", "/?xsid=Wk3pG3cNrjOBmZQtAAAA", "/sid=Wk3pG3cNrjOBmZQtAAAA",
        "/?sid=Wk3pG3cNrjOBmZQtAAAAx", "/?sid=Wk3pG3cNrj%2FOBmZQtAA"}) {
    EXPECT_EQ(session_in(target), "") << target;
  }
}

}  // namespace
}  // namespace holdfast
