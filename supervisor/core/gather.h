#pragma once

#include <cstddef>

#include "core/time.h"

namespace holdfast {

// Whether accepting should wait a moment so that connections gather into batches.
//
// A batch costs one wake-up of the supervisor and one of each worker, however many connections it has: under load
// gathering halves the CPU for each connection; for a lone connection it would only add latency. Two things must come
// together to start it, both of the last 20 ms: connections arrive so fast that a tick finds one or more, and turns
// found more of them than one on average. Clients that come one after the other never make the second true, however
// fast they are, and a burst on an idle server never makes the first true. A run of ticks that find next to nothing
// stops it, and so does a low rate.
//
// The average counts, not each turn: on few cores a turn runs as soon as the first client has connected, so that even
// under load most turns find one connection, and a few find dozens (measured: 94 % of the turns, and 2.8 connections a
// turn).
class Gather {
 public:
  enum class Mode {
    Watching,   // accept as soon as the kernel reports a connection
    Gathering,  // look once every `tick` instead
  };

  [[nodiscard]] Mode mode() const { return mode_; }
  // The time between two looks while gathering. It is longer where so many clients come at a time that a longer one still finds
  // proportionally more; a few clients that wait for each other would only be slowed down, so for them it stays short.
  [[nodiscard]] Duration tick() const { return tick_; }
  // A turn accepted `connections` (0 is possible for a tick). Answers the mode for the next turn.
  Mode on_turn(std::size_t connections, TimePoint now);

 private:
  void choose_tick(TimePoint now);

  Mode mode_ = Mode::Watching;
  double connections_ = 0;    // of the recent past, each fading with its age
  double turns_ = 0;          // that found them, fading likewise
  unsigned quiet_ticks_ = 0;  // in a row, while gathering
  TimePoint last_turn_{};
  Duration tick_ = std::chrono::microseconds(100);
  TimePoint next_choice_{};  // of the tick: the past must be of the present tick to tell anything
};

// Measured: see ARCHITECTURE.md. A tick of 100 us makes batches where a few dozen clients come at a time; with 300 us the CPU for
// each connection is nearly that of workers that accept by themselves, and nobody waits longer than the queue of those takes.
inline constexpr Duration kShortGatherTick = std::chrono::microseconds(100);
inline constexpr Duration kLongGatherTick = std::chrono::microseconds(300);

}  // namespace holdfast
