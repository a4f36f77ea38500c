#include "loop/fine_timer.h"

#include <gtest/gtest.h>

#include "loop/timer.h"
#include "sys/sockets.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

TimePoint clock_now() { return std::chrono::steady_clock::now(); }

std::unique_ptr<FineTimer> make_timer(Loop& loop, std::function<void()> on_due) {
  Result<std::unique_ptr<FineTimer>> timer = FineTimer::create(loop, std::move(on_due));
  if (!timer) std::abort();
  return *std::move(timer);
}

TEST(FineTimer, TicksAsOftenAsItIsArmedAndIsNeverEarly) {
  Loop loop;
  int ticks = 0;
  TimePoint due{};
  std::unique_ptr<FineTimer> timer;
  const auto arm = [&] {
    due = clock_now() + 100us;
    timer->arm(100us);
  };
  timer = make_timer(loop, [&] {
    EXPECT_GE(clock_now(), due);
    if (++ticks == 50) return loop.stop();
    arm();
  });
  arm();
  loop.run();
  EXPECT_EQ(ticks, 50);
}

TEST(FineTimer, FiresOnceThoughNobodyArmsItAgain) {
  Loop loop;
  int fired = 0;
  Timer end(loop, [&] { loop.stop(); });
  const std::unique_ptr<FineTimer> timer = make_timer(loop, [&] {
    ++fired;
    end.arm(loop.now() + 5ms);
  });
  timer->arm(50us);
  loop.run();
  EXPECT_EQ(fired, 1);
}

TEST(FineTimer, ADisarmedOneIsSilent) {
  Loop loop;
  const std::unique_ptr<FineTimer> timer = make_timer(loop, [] { FAIL(); });
  Timer end(loop, [&] { loop.stop(); });
  timer->arm(1ms);
  timer->disarm();
  end.arm(clock_now() + 5ms);
  loop.run();
}

TEST(FineTimer, ArmingAgainReplacesTheTimeAndMoreThanASecondIsFine) {
  Loop loop;
  int fired = 0;
  const std::unique_ptr<FineTimer> timer = make_timer(loop, [&] {
    ++fired;
    loop.stop();
  });
  timer->arm(3600s + 1us);
  timer->arm(Duration::zero());
  loop.run();
  EXPECT_EQ(fired, 1);
}

TEST(FineTimer, GivesItsDescriptorBack) {
  Loop loop;
  const std::uint64_t before = open_file_count();
  {
    const std::unique_ptr<FineTimer> timer = make_timer(loop, [] {});
  }
  EXPECT_EQ(open_file_count(), before);
}

}  // namespace
}  // namespace holdfast
