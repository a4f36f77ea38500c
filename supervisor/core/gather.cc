#include "core/gather.h"

#include <algorithm>
#include <cmath>

namespace holdfast {
namespace {

// How long a turn counts. Long enough that 64 connections at once are no rate worth gathering for, short enough that a
// real load is recognised in some 10 ms.
constexpr std::chrono::duration<double> kMemory = std::chrono::milliseconds(20);

constexpr double kStartRate = 10'000;  // connections a second: one for each tick
constexpr double kStopRate = 6'000;    // far enough below it that an even load does not go to and fro

// Connections for each turn that found any. One client alone makes exactly 1, and a few strangers do not bring it to
// this. 64 at a time make 1.03 and more where the supervisor has a core for itself, and 2 to 3 where it shares two
// cores with them.
constexpr double kStartPerTurn = 1.02;

// At the start rate arrivals at random leave three ticks of four quiet, and sixteen in a row come every 15 ms or so:
// harmless. When the load has gone, sixteen are 1.6 ms in which a lone client waits for a tick.
constexpr unsigned kQuietTicks = 16;

// Connections for each tick that found any. 64 clients at a time fill a short tick with 2.7 and a long one with 8; four clients fill
// neither with more than 4, and usually a short one with fewer than 2.
constexpr double kLongerFrom = 2.3;
constexpr double kShorterBelow = 4.5;
// A tick is judged by what it found, not by what the other one did; and a guess that was wrong is not repeated soon.
constexpr Duration kJudgeAfter = std::chrono::milliseconds(40);
constexpr Duration kGuessAgainAfter = std::chrono::milliseconds(500);

}  // namespace

Gather::Mode Gather::on_turn(std::size_t connections, TimePoint now) {
  const std::chrono::duration<double> elapsed = now - last_turn_;
  last_turn_ = now;
  const double faded = std::exp(-(elapsed / kMemory));
  connections_ = connections_ * faded + static_cast<double>(connections);
  turns_ = turns_ * faded + (connections != 0 ? 1 : 0);
  const double rate = connections_ / kMemory.count();

  if (mode_ == Mode::Gathering) {
    quiet_ticks_ = connections <= 1 ? quiet_ticks_ + 1 : 0;
    if (quiet_ticks_ < kQuietTicks && rate >= kStopRate) {
      choose_tick(now);
      return mode_;
    }
    turns_ = connections_;  // as if they had come one by one: what gathering found is no evidence for watching
    return mode_ = Mode::Watching;
  }

  if (rate < kStartRate || connections_ < kStartPerTurn * turns_) return mode_;
  quiet_ticks_ = 0;
  tick_ = kShortGatherTick;
  next_choice_ = std::max(next_choice_, now + kJudgeAfter);
  return mode_ = Mode::Gathering;
}

void Gather::choose_tick(TimePoint now) {
  if (now < next_choice_ || turns_ == 0) return;
  const double found = connections_ / turns_;
  if (tick_ == kShortGatherTick && found >= kLongerFrom) {
    tick_ = kLongGatherTick;
    next_choice_ = now + kJudgeAfter;
  } else if (tick_ == kLongGatherTick && found < kShorterBelow) {
    tick_ = kShortGatherTick;
    next_choice_ = now + kGuessAgainAfter;
  }
}

}  // namespace holdfast
