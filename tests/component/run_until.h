#pragma once

#include <sys/resource.h>

#include <chrono>

#include "core/time.h"
#include "loop/loop.h"
#include "loop/timer.h"

namespace holdfast {

// Runs the loop until `done` answers true. False after twenty seconds, which no healthy machine needs.
template <class Done>
[[nodiscard]] bool run_until(Loop& loop, Done done) {
  constexpr Duration kLimit = std::chrono::seconds(20);
  constexpr Duration kLookEvery = std::chrono::milliseconds(1);
  const TimePoint end = std::chrono::steady_clock::now() + kLimit;
  bool happened = false;
  Timer look(loop, [&] {
    happened = done();
    if (happened || loop.now() >= end) {
      loop.stop();
    } else {
      look.arm(loop.now() + kLookEvery);
    }
  });
  look.arm(loop.now());
  loop.run();
  return happened;
}

// Lets the loop run for a while in which something must not happen.
inline void run_for(Loop& loop, Duration time) {
  const TimePoint end = std::chrono::steady_clock::now() + time;
  (void)run_until(loop, [&] { return std::chrono::steady_clock::now() >= end; });
}

// Lets the loop run for a while; answers how often it waited. A loop that spins never waits, however little of a busy machine it gets.
inline long waits_in(Loop& loop, Duration time) {
  rusage before{};
  rusage after{};
  (void)::getrusage(RUSAGE_THREAD, &before);
  run_for(loop, time);
  (void)::getrusage(RUSAGE_THREAD, &after);
  return after.ru_nvcsw - before.ru_nvcsw;
}

}  // namespace holdfast
