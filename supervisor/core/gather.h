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
    Gathering,  // look every kGatherTick instead
  };

  [[nodiscard]] Mode mode() const { return mode_; }
  // A turn accepted `connections` (0 is possible for a tick). Answers the mode for the next turn.
  Mode on_turn(std::size_t connections, TimePoint now);

 private:
  Mode mode_ = Mode::Watching;
  double connections_ = 0;    // of the recent past, each fading with its age
  double turns_ = 0;          // that found them, fading likewise
  unsigned quiet_ticks_ = 0;  // in a row, while gathering
  TimePoint last_turn_{};
};

inline constexpr Duration kGatherTick = std::chrono::microseconds(100);  // measured: see ARCHITECTURE.md

}  // namespace holdfast
