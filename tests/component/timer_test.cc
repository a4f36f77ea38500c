#include "loop/timer.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

TimePoint clock_now() { return std::chrono::steady_clock::now(); }

TEST(Timer, IsNeverEarly) {
  Loop loop;
  constexpr int kTimers = 100;
  int pending = kTimers;
  std::vector<std::unique_ptr<Timer>> timers;
  const TimePoint start = clock_now();
  for (int i = 0; i < kTimers; ++i) {
    const TimePoint due = start + i * 317us;  // every fraction of a millisecond
    timers.push_back(std::make_unique<Timer>(loop, [&, due] {
      EXPECT_GE(clock_now(), due);
      EXPECT_GE(loop.now(), due);
      EXPECT_LT(clock_now(), due + 5s);
      if (--pending == 0) loop.stop();
    }));
    timers.back()->arm(due);
  }
  loop.run();
  EXPECT_EQ(pending, 0);
}

TEST(Timer, IsNeverEarlyThoughTheLoopWasBusyWhenItWasArmed) {
  Loop loop;
  TimePoint due{};
  Timer timer(loop, [&] {
    EXPECT_GE(clock_now(), due);
    loop.stop();
  });
  loop.defer([&] {
    const TimePoint busy_until = clock_now() + 20ms;
    while (clock_now() < busy_until) {
    }
    due = clock_now() + 3ms;
    timer.arm(due);
  });
  loop.run();
}

TEST(Timer, ArmingAgainReplacesTheDeadline) {
  Loop loop;
  int fired = 0;
  TimePoint later{};
  Timer timer(loop, [&] {
    ++fired;
    EXPECT_GE(clock_now(), later);
    loop.stop();
  });
  timer.arm(clock_now());
  later = clock_now() + 10ms;
  timer.arm(later);
  loop.run();
  EXPECT_EQ(fired, 1);
}

TEST(Timer, ADisarmedOneIsSilent) {
  Loop loop;
  bool fired = false;
  Timer silent(loop, [&] { fired = true; });
  Timer end(loop, [&] { loop.stop(); });
  silent.arm(clock_now() + 1ms);
  silent.disarm();
  end.arm(clock_now() + 10ms);
  loop.run();
  EXPECT_FALSE(fired);
}

TEST(Timer, ADeadlineInThePastOrAtTheEndOfTimeIsFine) {
  Loop loop;
  Timer never(loop, [] { FAIL(); });
  never.arm(kNever - Duration(1));
  Timer past(loop, [&] { loop.stop(); });
  past.arm(TimePoint{});
  loop.run();
}

}  // namespace
}  // namespace holdfast
