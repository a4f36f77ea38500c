#pragma once

#include <poll.h>

#include <chrono>

namespace holdfast::test {

using Duration = std::chrono::nanoseconds;
using Clock = std::chrono::steady_clock;

// How long a test waits for what must happen. Long, because sanitizers and busy machines are slow, and only a failing
// test waits it out.
inline constexpr Duration kPatience = std::chrono::seconds(40);

// Waits until `happened` answers true, by asking again and again. For facts of other processes, which tell nobody when
// they change. Answers whether it happened in time.
template <class Predicate>
[[nodiscard]] bool eventually(const Predicate& happened, Duration patience = kPatience) {
  constexpr int kPauseMilliseconds = 3;  // short against every time limit in the tests, long against one question
  const Clock::time_point deadline = Clock::now() + patience;
  while (!happened()) {
    if (Clock::now() >= deadline) return false;
    (void)::poll(nullptr, 0, kPauseMilliseconds);
  }
  return true;
}

// Lets a time go by in which something must NOT happen, or over which something is measured. Never a substitute for
// waiting for an event.
inline void let_pass(Duration time) {
  const Clock::time_point end = Clock::now() + time;
  (void)eventually([&] { return Clock::now() >= end; }, time + std::chrono::seconds(1));
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr int kSlowness = 8;  // sanitized programs start and run that much slower: long tests do less
#else
inline constexpr int kSlowness = 1;
#endif

}  // namespace holdfast::test
