#include "core/gather.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <queue>
#include <random>
#include <vector>

#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Mode = Gather::Mode;

constexpr Duration kWork = microseconds(8);  // of the supervisor, for a turn that finds one connection

// A server as Gather sees it. Connections come from clients that come again some time after they were taken up, or at
// moments that nobody here decides. A turn takes all that wait: while watching as soon as one waits and the last turn
// is over, while gathering at each tick.
class Server {
 public:
  explicit Server(std::uint64_t seed, Duration work = kWork, Duration tick = kGatherTick)
      : random_(seed), work_(work), gather_(tick) {}

  // `count` clients that each come again `away` after they were taken up, give or take a half, until `end` from now.
  void add_clients(unsigned count, Duration away, Duration end) {
    for (unsigned i = 0; i < count; ++i) arrivals_.push({now_ + spread(away), away, now_ + end});
  }
  // `rate` connections a second at random moments, until `end` from now.
  void add_strangers(unsigned rate, Duration end) {
    std::exponential_distribution<double> gap(rate / 1e9);
    const auto next_gap = [&] { return Duration(static_cast<Duration::rep>(gap(random_))); };
    for (TimePoint when = now_ + next_gap(); when < now_ + end; when += next_gap()) arrivals_.push({when, {}, when});
  }
  void add_burst(unsigned count, Duration delay) {
    for (unsigned i = 0; i < count; ++i) arrivals_.push({now_ + delay, {}, now_ + delay});
  }

  void play(Duration length) {
    const TimePoint end = now_ + length;
    while (true) {
      const bool gathering = gather_.mode() == Mode::Gathering;
      if (!gathering && arrivals_.empty()) break;
      const TimePoint turn = std::max(free_, gathering ? last_turn_ + gather_.tick() : arrivals_.top().when);
      if (turn >= end) break;
      take(turn);
    }
    now_ = end;
  }

  [[nodiscard]] Mode mode() const { return gather_.mode(); }
  [[nodiscard]] Duration gathering() const { return gathering_; }  // how long, all in all
  [[nodiscard]] unsigned starts() const { return starts_; }
  [[nodiscard]] std::size_t taken() const { return taken_; }

 private:
  struct Arrival {
    TimePoint when;
    Duration away;  // of a client that comes again
    TimePoint end;
    bool operator>(const Arrival& other) const { return when > other.when; }
  };

  Duration spread(Duration middle) {
    return Duration(std::uniform_int_distribution(middle.count() / 2, middle.count() * 3 / 2)(random_));
  }

  void take(TimePoint turn) {
    std::vector<Arrival> found;
    for (; !arrivals_.empty() && arrivals_.top().when <= turn; arrivals_.pop()) found.push_back(arrivals_.top());
    taken_ += found.size();

    const Mode before = gather_.mode();
    if (before == Mode::Gathering) gathering_ += turn - last_turn_;
    if (gather_.on_turn(found.size(), turn) == Mode::Gathering && before == Mode::Watching) ++starts_;
    last_turn_ = turn;
    free_ = turn + work_ / 2 * static_cast<Duration::rep>(1 + found.size());

    for (Arrival arrival : found) {
      arrival.when = free_ + spread(arrival.away);
      if (arrival.when < arrival.end) arrivals_.push(arrival);
    }
  }

  std::mt19937_64 random_;
  const Duration work_;
  Gather gather_;
  std::priority_queue<Arrival, std::vector<Arrival>, std::greater<>> arrivals_;
  TimePoint now_{seconds(1000)};
  TimePoint last_turn_{};
  TimePoint free_{};
  Duration gathering_{};
  unsigned starts_ = 0;
  std::size_t taken_ = 0;
};

constexpr Duration kAlone = microseconds(75);       // makes about 12,000 connections a second of one client
constexpr Duration kAmong64 = microseconds(2'100);  // makes about 30,000 of 64

TEST(Gather, NeverStartsForOneClientHoweverFastItComesAgain) {
  for (const Duration away :
       {Duration(milliseconds(1)), kAlone, Duration(microseconds(20)), Duration(microseconds(2))}) {
    Server server(random_seed());
    server.add_clients(1, away, seconds(2));
    server.play(seconds(2));
    EXPECT_EQ(server.starts(), 0U) << server.taken() << " connections";
  }
}

TEST(Gather, NeverStartsForOneFastClientAndAFewStrangers) {
  Server server(random_seed());
  server.add_clients(1, kAlone, seconds(2));
  server.add_strangers(50, seconds(2));
  server.play(seconds(2));
  EXPECT_EQ(server.starts(), 0U);
}

TEST(Gather, StartsSoonFor64ClientsAtATimeAndGoesOn) {
  Server server(random_seed());
  server.add_clients(64, kAmong64, seconds(3));
  server.play(milliseconds(200));
  EXPECT_GE(server.starts(), 1U);
  const Duration before = server.gathering();
  server.play(seconds(2));
  EXPECT_GT(server.gathering() - before, milliseconds(1900)) << server.taken() << " connections";
}

// Clients that each wait 5 ms for their answer, as beside two Node.js workers: fifty are three for each 300 us, and 35 are two,
// which are enough for the long tick alone.
TEST(Gather, WithALongTickGathersFewerConnections) {
  for (const unsigned clients : {50U, 35U}) {
    Server server(random_seed(), kWork, kNodeGatherTick);
    server.add_clients(clients, milliseconds(5), seconds(3));
    server.play(seconds(1));
    const Duration before = server.gathering();
    server.play(seconds(1));
    EXPECT_GT(server.gathering() - before, milliseconds(900))
        << clients << ": " << server.starts() << " starts, " << server.taken() << " connections";
  }
}

TEST(Gather, WithALongTickLeavesFourClientsAlone) {
  Server server(random_seed(), kWork, kNodeGatherTick);
  server.add_clients(4, microseconds(400), seconds(20));
  server.play(seconds(20));
  EXPECT_LT(server.gathering(), seconds(3)) << server.starts() << " trials";
}

TEST(Gather, TriesItForFourClientsAndLeavesThemAlone) {
  Server server(random_seed());
  server.add_clients(4, microseconds(100), seconds(20));
  server.play(seconds(20));
  EXPECT_GE(server.starts(), 1U) << "nothing else could tell them from many on a fast machine";
  EXPECT_LT(server.gathering(), milliseconds(700)) << server.starts() << " trials";
}

TEST(Gather, GoesOnForManyAfterItWasNotWorthItForAFew) {
  Server server(random_seed());
  server.add_clients(4, microseconds(100), seconds(3));
  server.play(seconds(3));
  server.add_clients(64, kAmong64, seconds(12));
  server.play(seconds(9));  // the longest rest has passed
  const Duration before = server.gathering();
  server.play(seconds(2));
  EXPECT_GT(server.gathering() - before, milliseconds(1900));
}

// What was measured with 64 clients at a time on two busy cores: 94 turns of 100 find one connection, the others
// thirty.
TEST(Gather, StartsWhenMostTurnsFindOneAndFewFindDozens) {
  Gather gather(kGatherTick);
  TimePoint now{seconds(1000)};
  for (int turn = 0; gather.mode() == Mode::Watching && turn < 1000; ++turn) {
    const std::size_t connections = turn % 16 == 15 ? 30 : 1;
    now += microseconds(40) * static_cast<Duration::rep>(connections);
    gather.on_turn(connections, now);
  }
  EXPECT_EQ(gather.mode(), Mode::Gathering);
  EXPECT_LT(now - TimePoint(seconds(1000)), milliseconds(50));
}

TEST(Gather, NeverStartsBelowFiveThousandASecond) {
  for (const Duration work :
       {kWork, Duration(microseconds(150))}) {  // quick turns, and turns so slow that they find several
    Server server(random_seed(), work);
    server.add_strangers(5'000, seconds(5));
    server.play(seconds(5));
    EXPECT_EQ(server.starts(), 0U) << work.count();
  }
}

TEST(Gather, NeverStartsForBurstsThatMakeFiveThousandASecond) {
  for (const unsigned burst : {5U, 20U, 64U}) {
    Server server(random_seed());
    for (int i = 0; i < 1000; ++i) server.add_burst(burst, Duration(seconds(1)) / 5'000 * burst * i);
    server.play(seconds(13));
    EXPECT_EQ(server.starts(), 0U) << burst;
  }
}

TEST(Gather, DoesNotStartForABurstOnAnIdleServer) {
  Server at_once(random_seed());
  at_once.add_burst(64, seconds(1));
  at_once.play(seconds(2));
  EXPECT_EQ(at_once.taken(), 64U);
  EXPECT_EQ(at_once.starts(), 0U);

  Server in_pairs(random_seed());  // within two milliseconds
  for (int i = 0; i < 32; ++i) in_pairs.add_burst(2, seconds(1) + i * microseconds(62));
  in_pairs.play(seconds(2));
  EXPECT_EQ(in_pairs.taken(), 64U);
  EXPECT_EQ(in_pairs.starts(), 0U);
}

TEST(Gather, AnEnormousBurstMakesAFastClientWaitForTwoMillisecondsAtMost) {
  Server server(random_seed());
  server.add_clients(1, kAlone, seconds(2));
  server.add_burst(1000, seconds(1));
  server.play(seconds(2));
  EXPECT_EQ(server.starts(), 1U);
  const Duration work_for_the_burst = 1001 * kWork / 2;  // which nobody can spare the client
  EXPECT_LE(server.gathering() - work_for_the_burst, milliseconds(2));
}

TEST(Gather, StopsSoonWhenTheLoadHasGone) {
  Server server(random_seed());
  server.add_clients(64, kAmong64, seconds(1));
  server.play(seconds(1) + milliseconds(5));
  const Duration before = server.gathering();
  EXPECT_GT(before, milliseconds(500));
  server.play(seconds(1));
  EXPECT_EQ(server.mode(), Mode::Watching);
  EXPECT_LE(server.gathering() - before, milliseconds(2));
}

TEST(Gather, StopsSoonWhenOneFastClientIsLeft) {
  Server server(random_seed());
  server.add_clients(64, kAmong64, seconds(1));
  server.add_clients(1, kAlone, seconds(4));
  server.play(seconds(1) + milliseconds(50));
  EXPECT_EQ(server.mode(), Mode::Watching);
  const Duration before = server.gathering();
  server.play(seconds(2));
  EXPECT_EQ(server.gathering(), before);
}

TEST(Gather, StopsForALowRateThoughTicksAreNeverQuietForLong) {
  Server server(random_seed());
  server.add_clients(64, kAmong64, seconds(1));
  for (int i = 0; i < 5000; ++i) server.add_burst(2, seconds(1) + i * microseconds(400));  // 5,000 a second in pairs
  server.play(seconds(1) + milliseconds(100));
  EXPECT_EQ(server.mode(), Mode::Watching);
  const Duration before = server.gathering();
  server.play(seconds(1));
  EXPECT_EQ(server.gathering(), before);
}

}  // namespace
}  // namespace holdfast
