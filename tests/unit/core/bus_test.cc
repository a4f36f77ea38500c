// The decisions of the bus: queues, credits, what is kept, calls.
#include <algorithm>
#include <chrono>
#include <deque>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "core/bus_credits.h"
#include "core/bus_queue.h"
#include "core/pending_calls.h"
#include "core/retained.h"
#include "core/topic.h"
#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using Queue = BusQueue<int>;

std::vector<int> runs(const Queue& queue) {
  std::vector<int> all;
  queue.each([&](const auto& item) {
    all.push_back(item.run);
    return true;
  });
  return all;
}

const Queue::Item& front(const Queue& queue) {
  const Queue::Item* first = nullptr;
  queue.each([&](const Queue::Item& item) {
    first = &item;
    return false;
  });
  return *first;
}

Queue queue_of(BusFull full) {
  Queue queue;
  queue.set_limit({100, full});
  return queue;
}

TEST(BusQueue, DropsTheOldestToMakeRoom) {
  Queue queue = queue_of(BusFull::DropOldest);
  for (int i = 0; i < 4; i++) EXPECT_TRUE(queue.push(i, 40, 10));
  EXPECT_THAT(runs(queue), ElementsAre(2, 3));
  EXPECT_EQ(queue.dropped(), 20u);
  EXPECT_EQ(queue.untold(), 20u);
  queue.on_told();
  EXPECT_EQ(queue.untold(), 0u);
  EXPECT_EQ(queue.dropped(), 20u);
}

TEST(BusQueue, OrDropsTheNewest) {
  Queue queue = queue_of(BusFull::DropNewest);
  for (int i = 0; i < 4; i++) EXPECT_TRUE(queue.push(i, 40, 10));
  EXPECT_THAT(runs(queue), ElementsAre(0, 1));
  EXPECT_EQ(queue.dropped(), 20u);
}

TEST(BusQueue, OrSaysThatTheWorkerMustGo) {
  Queue queue = queue_of(BusFull::Disconnect);
  EXPECT_TRUE(queue.push(0, 40, 1));
  EXPECT_TRUE(queue.push(1, 60, 1));
  EXPECT_FALSE(queue.push(2, 1, 1));
  EXPECT_EQ(queue.dropped(), 0u);
}

TEST(BusQueue, NeverDropsAnAnswer) {
  Queue queue = queue_of(BusFull::DropOldest);
  EXPECT_TRUE(queue.push(0, 40, 1));
  queue.push_answer(1, 40, 1);
  EXPECT_TRUE(queue.push(2, 40, 1));
  EXPECT_TRUE(queue.make_room(50)) << "messages give way";
  queue.push_answer(3, 50, 1);
  EXPECT_THAT(runs(queue), ElementsAre(1, 3));
  EXPECT_TRUE(queue.push(4, 40, 1)) << "and now the new one does";
  EXPECT_FALSE(queue.make_room(40));
  EXPECT_THAT(runs(queue), ElementsAre(1, 3));
  EXPECT_EQ(queue.dropped(), 3u);
  EXPECT_EQ(queue.answers(), 2u);
}

TEST(BusQueue, LetsOneThatIsTooLargePassWhenItIsEmpty) {
  for (const BusFull full : {BusFull::DropOldest, BusFull::DropNewest, BusFull::Disconnect}) {
    Queue queue = queue_of(full);
    EXPECT_TRUE(queue.push(0, 1000, 1));
    EXPECT_THAT(runs(queue), ElementsAre(0));
  }
}

TEST(BusQueue, AccountsForEveryMessageAndKeepsTheOrder) {
  const std::uint64_t seed = random_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  for (const BusFull full : {BusFull::DropOldest, BusFull::DropNewest}) {
    Queue queue = queue_of(full);
    std::uint64_t pushed = 0;
    std::uint64_t taken = 0;
    std::uint64_t answers = 0;
    std::uint64_t answers_taken = 0;
    int last = -1;
    for (int step = 0; step < 20000; step++) {
      if (step % 7 == 0) {  // an answer, short enough for the limit or not
        if (queue.make_room(20) || queue.answers() < 5) {
          queue.push_answer(step, 20, 1);
          answers++;
          pushed++;
        }
      } else if (random() % 3 != 0) {
        const std::uint64_t messages = 1 + random() % 9;
        ASSERT_TRUE(queue.push(step, 1 + random() % 60, messages));
        pushed += messages;
      } else if (!queue.empty()) {
        const Queue::Item& oldest = front(queue);
        ASSERT_GT(oldest.run, last);
        last = oldest.run;
        taken += oldest.messages;
        answers_taken += oldest.run % 7 == 0 ? 1 : 0;
        queue.pop();
      }
      ASSERT_EQ(pushed, taken + queue.messages() + queue.dropped());
      ASSERT_EQ(answers, answers_taken + queue.answers()) << "none is dropped";
      ASSERT_LE(queue.bytes(), 100u + queue.answers() * 20);
    }
  }
}

// Publishers that always have something to say, with frames of different cost.
TEST(BusCredits, GiveEqualSharesToUnequalPublishers) {
  constexpr std::size_t kTurn = 100000;
  BusCredits credits(kTurn);
  const std::map<unsigned, std::size_t> cost = {{1, 70000}, {2, 3000}, {3, 200}};
  std::map<unsigned, std::size_t> spent;
  for (int turn = 0; turn < 3000; turn++) {
    std::size_t in_turn = 0;
    for (bool any = true; any;) {
      any = false;
      for (const auto& [who, bytes] : cost) {
        if (!credits.may_read(who)) continue;
        credits.on_delivered(who, bytes);
        spent[who] += bytes;
        in_turn += bytes;
        any = true;
      }
    }
    ASSERT_LE(in_turn, kTurn + 70000) << "a turn has an end";
    credits.on_turn();
  }
  for (const auto& [who, bytes] : spent) {
    EXPECT_GT(bytes, spent[1] * 8 / 10) << who;
    EXPECT_LT(bytes, spent[1] * 12 / 10) << who;
  }
}

TEST(BusCredits, WhoIsAloneGetsEverything) {
  BusCredits credits(1000);
  std::size_t spent = 0;
  for (int turn = 0; turn < 100; turn++) {
    while (credits.may_read(1)) {
      credits.on_delivered(1, 100);
      spent += 100;
    }
    EXPECT_TRUE(credits.somebody_waits());
    credits.on_turn();
  }
  EXPECT_GE(spent, 99u * 1000);
}

TEST(BusCredits, ADebtIsWorkedOff) {
  BusCredits credits(1000);
  ASSERT_TRUE(credits.may_read(1));
  credits.on_delivered(1, 3500);
  int waited = 0;
  while (!credits.may_read(1)) {
    credits.on_turn();
    ASSERT_LT(++waited, 10);
  }
  EXPECT_EQ(waited, 4);
}

Retained::Bytes bytes_of(std::size_t size) { return std::make_shared<const std::vector<std::byte>>(size); }

std::vector<std::uint64_t> sequences(const std::vector<Retained::Message>& messages) {
  std::vector<std::uint64_t> all;
  for (const Retained::Message& message : messages) all.push_back(message.sequence);
  return all;
}

TEST(Retained, KeepsTheLastOfEachTopicAndReplaysThemInOrder) {
  Retained retained(1 << 20);
  retained.set_rules({{"chat.**", 3}, {"chat.loud", 1}});
  for (std::uint64_t i = 1; i <= 10; i++) retained.keep(i % 2 == 0 ? "chat.a" : "chat.b", {i, bytes_of(10)});
  retained.keep("other", {11, bytes_of(10)});
  EXPECT_THAT(sequences(retained.after("chat.*", 0)), ElementsAre(5, 6, 7, 8, 9, 10));
  EXPECT_THAT(sequences(retained.after("chat.a", 7)), ElementsAre(8, 10));
  EXPECT_THAT(sequences(retained.after("**", 10)), ElementsAre());
  EXPECT_EQ(retained.depth("chat.loud"), 3u) << "the more generous rule";
}

TEST(Retained, WhatIsKnownLateTakesItsPlaceBeforeWhatIsNewer) {
  Retained retained(1 << 20);
  retained.set_rules({{"**", 4}});
  retained.keep("a", {101, bytes_of(10)});
  retained.keep("a", {102, bytes_of(10)});
  for (std::uint64_t i = 1; i <= 5; i++) retained.keep("a", {i, bytes_of(10)});
  EXPECT_THAT(sequences(retained.after("a", 0)), ElementsAre(4, 5, 101, 102));
  EXPECT_EQ(retained.bytes(), 40u);
}

TEST(Retained, ForgetsWhatNewRulesDoNotKeep) {
  Retained retained(1 << 20);
  retained.set_rules({{"**", 5}});
  for (std::uint64_t i = 1; i <= 10; i++) retained.keep(i % 2 == 0 ? "a" : "b", {i, bytes_of(10)});
  retained.set_rules({{"a", 2}});
  EXPECT_THAT(sequences(retained.after("**", 0)), ElementsAre(8, 10));
  retained.set_rules({});
  EXPECT_EQ(retained.bytes(), 0u);
}

TEST(Retained, IsBoundedAndForgetsTheSilentTopicsFirst) {
  const std::uint64_t seed = random_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  Retained retained(1000);
  retained.set_rules({{"**", 4}});
  for (std::uint64_t i = 1; i <= 5000; i++) {
    const std::string topic = "t" + std::to_string(random() % 30);
    retained.keep(topic, {i, bytes_of(1 + random() % 300)});
    ASSERT_LE(retained.bytes(), 1000u);
    const auto kept = retained.after(topic, 0);
    ASSERT_FALSE(kept.empty());
    ASSERT_EQ(kept.back().sequence, i);
    ASSERT_LE(kept.size(), 4u);
  }
}

TEST(Retained, KnowsWhatItDoesNotKeepAnyMore) {
  Retained retained(1000);
  retained.set_rules({{"a.*", 3}});
  for (std::uint64_t i = 1; i <= 10; i++) retained.keep(i % 2 == 0 ? "a.even" : "a.odd", {i, bytes_of(10)});
  EXPECT_FALSE(retained.has_all_after("a.even", 3));
  EXPECT_TRUE(retained.has_all_after("a.even", 4)) << "6, 8 and 10 are here";
  EXPECT_FALSE(retained.has_all_after("**", 2));
  EXPECT_TRUE(retained.has_all_after("b", 0));
  retained.on_not_kept("a.odd", 11);
  retained.on_not_kept("b", 12);
  EXPECT_FALSE(retained.has_all_after("a.odd", 10));
  EXPECT_TRUE(retained.has_all_after("a.odd", 11)) << "of b none is kept";
  retained.keep("a.large", {13, bytes_of(990)});
  EXPECT_FALSE(retained.has_all_after("a.even", 9)) << "it was forgotten whole";
  Retained next(1000);
  for (const auto& [topic, sequence] : retained.not_kept()) next.adopt_not_kept(topic, sequence);
  EXPECT_FALSE(next.has_all_after("a.even", 9));
  EXPECT_TRUE(next.has_all_after("a.even", 13));
}

TEST(PendingCalls, EndOnceEach) {
  PendingCalls calls;
  const TimePoint start{};
  const std::uint64_t id = calls.begin({1, 77, 2, start + 5s});
  EXPECT_FALSE(calls.take(id, 3)) << "somebody else was asked";
  const auto call = calls.take(id, 2);
  ASSERT_TRUE(call);
  EXPECT_EQ(call->number, 77u);
  EXPECT_FALSE(calls.take(id, 2));
  EXPECT_EQ(calls.next_deadline(), kNever);
}

TEST(PendingCalls, HistoriesLoseNone) {
  const std::uint64_t seed = random_seed();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random(seed);
  PendingCalls calls;
  std::map<std::uint64_t, std::pair<unsigned, unsigned>> open;  // the caller's number -> caller and callee
  std::map<std::uint64_t, std::uint64_t> id_of;
  TimePoint now{};
  const auto end = [&](const PendingCalls::Call& call) {
    ASSERT_EQ(open.erase(call.number), 1u) << "it has ended before";
    id_of.erase(call.number);
  };
  for (std::uint64_t number = 1; number < 20000; number++) {
    now += std::chrono::milliseconds(random() % 3);
    const auto caller = static_cast<unsigned>(random() % 6);
    const auto callee = static_cast<unsigned>(random() % 6);
    const TimePoint deadline = now + std::chrono::milliseconds(random() % 200);
    id_of[number] = calls.begin({caller, number, callee, deadline});
    open[number] = {caller, callee};
    if (random() % 2 == 0) {
      const auto chosen = std::next(id_of.begin(), static_cast<std::ptrdiff_t>(random() % id_of.size()));
      const auto answered = calls.take(chosen->second, open[chosen->first].second);
      ASSERT_TRUE(answered);
      end(*answered);
    }
    if (random() % 50 == 0) {
      const auto gone = static_cast<unsigned>(random() % 6);
      for (const PendingCalls::Call& call : calls.on_gone(gone)) {
        ASSERT_EQ(call.callee, gone);
        end(call);
      }
      std::erase_if(id_of, [&](const auto& one) { return open[one.first].first == gone; });
      std::erase_if(open, [&](const auto& one) { return one.second.first == gone; });
    }
    for (const PendingCalls::Call& call : calls.expire(now)) {
      ASSERT_LE(call.deadline, now);
      end(call);
    }
    ASSERT_GT(calls.next_deadline(), now);
    ASSERT_EQ(calls.size(), open.size());
  }
}

}  // namespace
}  // namespace holdfast
