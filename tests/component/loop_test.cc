#include "loop/loop.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <vector>

#include "component/kernel_fixtures.h"
#include "loop/fd_watcher.h"
#include "loop/fine_timer.h"
#include "loop/timer.h"
#include "sys/sockets.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

TEST(Loop, LeavesNothingOpen) {
  const std::uint64_t before = open_file_count();
  { const Loop loop; }
  const std::uint64_t after_first = open_file_count();  // libuv keeps a pipe for signals for the whole process
  { const Loop loop; }
  EXPECT_EQ(open_file_count(), after_first);
  EXPECT_LE(after_first, before + 2);
}

TEST(Loop, ATimerThatArmsItselfAnewDoesNotSeeTheTimeBeforeTheRun) {
  Loop loop;
  const TimePoint made = loop.now();
  while (std::chrono::steady_clock::now() < made + 5ms) continue;
  int rounds = 0;
  Timer timer(loop, [&] {
    EXPECT_GE(loop.now(), made + 5ms);
    if (++rounds == 3) loop.stop();
    if (rounds < 1000) timer.arm(loop.now() + 1ms);  // with the old time it would be due at once, for ever
  });
  timer.arm(made + 1ms);
  loop.run();
  EXPECT_EQ(rounds, 3);
}

TEST(Loop, RunsUntilItIsStoppedAndCanRunAgain) {
  Loop loop;
  for (int round = 0; round < 2; ++round) {
    int turns = 0;
    Timer timer(loop, [&] {
      if (++turns == 3) {
        loop.stop();
      } else {
        timer.arm(loop.now());
      }
    });
    timer.arm(loop.now());
    loop.run();
    EXPECT_EQ(turns, 3);
  }
}

TEST(Loop, DeferredWorkRunsAfterTheCallbackInOrder) {
  Loop loop;
  std::vector<int> order;
  Timer timer(loop, [&] {
    loop.defer([&] {
      order.push_back(2);
      loop.defer([&] {
        order.push_back(4);
        loop.stop();
      });
    });
    loop.defer([&] { order.push_back(3); });
    order.push_back(1);
  });
  timer.arm(loop.now());
  loop.run();
  EXPECT_EQ(order, (std::vector{1, 2, 3, 4}));
}

TEST(Loop, DeferredWorkDoesNotWaitForAnEvent) {
  Loop loop;
  loop.defer([&] { loop.defer([&] { loop.stop(); }); });  // nothing else would ever wake this loop
  loop.run();
}

TEST(Loop, WorkThatIsDeferredAfterStopIsStillDone) {
  Loop loop;
  int done = 0;
  std::function<void()> work = [&] {
    if (++done < 10) loop.defer(work);  // more often than the turn that is left has room for
  };
  Timer timer(loop, [&] {
    loop.stop();
    loop.defer(work);
  });
  timer.arm(loop.now());
  loop.run();
  EXPECT_EQ(done, 10);
}

TEST(Loop, AWatcherIsDestroyedFromItsOwnCallbackByDeferring) {
  Loop loop;
  const Pipe pipe = make_pipe();
  ASSERT_EQ(::write(pipe.write.get(), "x", 1), 1);
  int calls = 0;
  std::unique_ptr<FdWatcher> watcher;
  std::unique_ptr<Timer> timer;
  watcher = std::make_unique<FdWatcher>(loop, pipe.read, [&](FdWatcher::Ready) {
    ++calls;  // the pipe stays readable: a watcher that lived on would count on
    loop.defer([&] {
      watcher.reset();
      timer->arm(loop.now() + 5ms);
    });
  });
  timer = std::make_unique<Timer>(loop, [&] {
    loop.defer([&] {
      timer.reset();
      loop.stop();
    });
  });
  watcher->watch(FdWatcher::Interest::Readable);
  loop.run();
  EXPECT_EQ(calls, 1);
  EXPECT_FALSE(timer);
}

TEST(Loop, ItsTimeIsThatOfTheEventNotOfTheWaitBefore) {
  Loop loop;
  std::optional<TimePoint> heard;
  TimePoint truth{};
  const Result<std::unique_ptr<FineTimer>> timer = FineTimer::create(loop, [&] {
    heard = loop.now();
    truth = std::chrono::steady_clock::now();
    loop.stop();
  });
  ASSERT_TRUE(timer);
  const TimePoint start = loop.now();
  (*timer)->arm(30ms);
  loop.run();
  ASSERT_TRUE(heard);
  EXPECT_GE(*heard, start + 30ms);
  EXPECT_LE(*heard, truth);
}

TEST(Loop, ItsTimeIsTheSameThroughoutACallback) {
  Loop loop;
  Timer timer(loop, [&] {
    const TimePoint first = loop.now();
    while (std::chrono::steady_clock::now() == first) {
    }
    EXPECT_EQ(loop.now(), first);
    loop.stop();
  });
  timer.arm(loop.now());
  loop.run();
}

TEST(LoopDeathTest, AWatcherThatOutlivesItsLoopIsAMistake) {
  EXPECT_DEATH(
      {
        auto loop = std::make_unique<Loop>();
        const Timer timer(*loop, [] {});
        loop.reset();
      },
      "outlived its loop");
}

}  // namespace
}  // namespace holdfast
