#pragma once

#include <cstddef>

#include "core/time.h"

namespace holdfast {

// Whether accepting should wait a moment so that connections gather into batches.
//
// A batch costs one wake-up of the supervisor and one of each worker, however many connections it has: under load gathering
// halves the CPU for each connection; for a lone connection it would only add latency. So it is decided from what the last
// turns found, in hysteresis: several turns in a row that found more than one connection start it, several ticks in a row that
// found fewer stop it. It never starts for clients that come one after the other, however fast.
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
  double rate_ = 0;       // connections a second, smoothed
  double per_turn_ = 0;   // connections a turn, smoothed
  TimePoint last_turn_{};
};

inline constexpr Duration kGatherTick = std::chrono::microseconds(100);  // measured: see ARCHITECTURE.md

}  // namespace holdfast
