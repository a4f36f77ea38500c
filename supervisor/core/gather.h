#pragma once

#include <cstddef>

#include "core/time.h"

namespace holdfast {

// Whether accepting should wait a moment so that connections gather into batches.
//
// A batch costs one wake-up of the supervisor and one of each worker, however many connections it has: under load
// gathering makes the CPU for each connection nearly that of workers that accept by themselves; for a few clients it would only add
// latency. No number that is seen while accepting at once tells the two apart on every machine: 64 clients at a time make turns of 2
// connections on two cores and of 1.03 where the supervisor has a core for itself, and four make turns of 1.2. So it is tried: when
// connections come fast enough and not strictly one by one, gathering starts, and after 100 ms it is judged by what its ticks
// found. Where that was not worth waiting for it is left alone for half a second, then a second, and so on up to eight.
//
// One client that comes again and again never starts a trial, however fast it is; a burst on an idle server does not
// either. Ticks that find next to nothing end gathering at once, and so does a low rate.
class Gather {
 public:
  enum class Mode {
    Watching,   // accept as soon as the kernel reports a connection
    Gathering,  // look once in a tick instead
  };
  explicit Gather(Duration tick) : tick_(tick) {}

  [[nodiscard]] Duration tick() const { return tick_; }
  [[nodiscard]] Mode mode() const { return mode_; }
  // A turn accepted `connections` (0 is possible for a tick). Answers the mode for the next turn.
  Mode on_turn(std::size_t connections, TimePoint now);

 private:
  const Duration tick_;
  Mode mode_ = Mode::Watching;
  double connections_ = 0;    // of the recent past, each fading with its age
  double turns_ = 0;          // that found them, fading likewise
  unsigned quiet_ticks_ = 0;  // in a row, while gathering
  TimePoint last_turn_{};
  TimePoint judged_at_{};                           // when the trial that is under way has found enough
  TimePoint rests_until_{};                         // no trial before this
  Duration rest_ = std::chrono::milliseconds(500);  // after the next one that was not worth it
};

// Measured with 64 clients at a time on two cores: 100 us made batches of 2.7 connections and cost 1.3 times the CPU of bare workers for
// each; 300 us makes batches of 6 to 8 and costs about 1.05 times as much, at the same median latency.
inline constexpr Duration kGatherTick = std::chrono::microseconds(300);
// A Node.js worker is busy for 100 us and more with a request: fewer come in a tick, and who comes beside many waits for others
// anyway. Of 50 clients at a time on two cores a tick finds ten, and the supervisor's CPU for each is half of what it is without.
inline constexpr Duration kNodeGatherTick = std::chrono::milliseconds(1);

}  // namespace holdfast
