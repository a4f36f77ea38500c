#include "core/gather.h"

#include <algorithm>
#include <cmath>

namespace holdfast {
namespace {

// How long a turn counts. Long enough that 64 connections at once are no rate worth gathering for, short enough that a
// real load is recognised in some 10 ms.
constexpr std::chrono::duration<double> kMemory = std::chrono::milliseconds(20);

constexpr double kStartRate = 3.0;  // connections for each tick: 10,000 a second where that is 300 us
constexpr double kStopRate = 1.8;   // far enough below it that an even load does not go to and fro

// Connections for each turn that found any. One client alone makes exactly 1, and a few strangers do not bring it to
// this. 64 at a time make 1.03 and more where the supervisor has a core for itself, and 2 to 3 where it shares two
// cores with them: 0.02 beyond one. Where a tick is longer rates are lower, and as many fewer meet in a turn.
constexpr std::chrono::duration<double> kMeeting = std::chrono::microseconds(6);  // 0.02 of 300 us

// At the start rate three connections come in a tick, so six quiet ticks in a row mean that the load has gone; until then a
// lone client waits for a tick, for less than 2 ms in all where that is 300 us.
constexpr unsigned kQuietTicks = 6;

// Connections for each tick that found any. 64 clients at a time fill a tick with 6 to 8; four, which all come again within
// a tick, with exactly four.
constexpr double kWorthwhile = 4.5;
// How long gathering goes on before it is judged: until nothing that is remembered is of the time before.
constexpr Duration kTrial = std::chrono::milliseconds(100);
// How long it is then left alone, if it was not worth it: twice as long each time, so that trials cost next to nothing.
constexpr Duration kFirstRest = std::chrono::milliseconds(500);
constexpr Duration kLongestRest = std::chrono::seconds(8);

}  // namespace

Gather::Mode Gather::on_turn(std::size_t connections, TimePoint now) {
  const std::chrono::duration<double> elapsed = now - last_turn_;
  last_turn_ = now;
  const double faded = std::exp(-(elapsed / kMemory));
  connections_ = connections_ * faded + static_cast<double>(connections);
  turns_ = turns_ * faded + (connections != 0 ? 1 : 0);
  const double rate = connections_ / (kMemory / tick_);  // for each tick

  if (mode_ == Mode::Gathering) {
    quiet_ticks_ = connections <= 1 ? quiet_ticks_ + 1 : 0;
    const bool load_has_gone = quiet_ticks_ >= kQuietTicks || rate < kStopRate;
    const bool judged = now >= judged_at_;
    const bool worthwhile = connections_ >= kWorthwhile * turns_;
    if (judged && worthwhile) rest_ = kFirstRest;
    if (!load_has_gone && (!judged || worthwhile)) return mode_;
    if (!load_has_gone) {
      rests_until_ = now + rest_;
      rest_ = std::min(rest_ * 2, kLongestRest);
    }
    turns_ = connections_;  // as if they had come one by one: what gathering found is no evidence for watching
    return mode_ = Mode::Watching;
  }

  if (now < rests_until_ || rate < kStartRate || connections_ < (1 + kMeeting / tick_) * turns_) return mode_;
  quiet_ticks_ = 0;
  judged_at_ = now + kTrial;
  return mode_ = Mode::Gathering;
}

}  // namespace holdfast
