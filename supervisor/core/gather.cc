#include "core/gather.h"

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
    if (quiet_ticks_ < kQuietTicks && rate >= kStopRate) return mode_;
    turns_ = connections_;  // as if they had come one by one: what gathering found is no evidence for watching
    return mode_ = Mode::Watching;
  }

  if (rate < kStartRate || connections_ < kStartPerTurn * turns_) return mode_;
  quiet_ticks_ = 0;
  return mode_ = Mode::Gathering;
}

}  // namespace holdfast
