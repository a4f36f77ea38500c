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

// Whether the loop runs on and on instead of waiting. Judged by how often it waited and what it used of the CPU, not by
// the clock: a loop that waits does so rarely where others leave it little of the machine.
[[nodiscard]] inline bool spins(Loop& loop) {
  constexpr long kWaits = 50;                   // one for each look, so that what is tried again has been
  constexpr long kMicrosecondsOfCpu = 200'000;  // many times what so many looks need
  const auto usage = [] {
    rusage so_far{};
    (void)::getrusage(RUSAGE_THREAD, &so_far);
    return so_far;
  };
  const auto microseconds = [](const rusage& of) {
    return (of.ru_utime.tv_sec + of.ru_stime.tv_sec) * 1'000'000L + of.ru_utime.tv_usec + of.ru_stime.tv_usec;
  };
  const rusage before = usage();
  bool waits = false;
  (void)run_until(loop, [&] {
    const rusage now = usage();
    waits = now.ru_nvcsw - before.ru_nvcsw >= kWaits;
    return waits || microseconds(now) - microseconds(before) >= kMicrosecondsOfCpu;
  });
  return !waits;
}

}  // namespace holdfast
