#include "loop/signal_watcher.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <vector>

#include "loop/timer.h"

namespace holdfast {
namespace {

TEST(SignalWatcher, ReportsEachOfItsSignals) {
  Loop loop;
  std::vector<int> heard;
  const SignalWatcher watcher(loop, {SIGUSR1, SIGUSR2}, [&](int signal) {
    heard.push_back(signal);
    if (signal == SIGUSR2) return loop.stop();
    ::kill(::getpid(), SIGUSR2);
  });
  loop.defer([] { ::kill(::getpid(), SIGUSR1); });
  loop.run();
  EXPECT_EQ(heard, (std::vector{SIGUSR1, SIGUSR2}));
}

TEST(SignalWatcher, ASignalThatCameBeforeTheLoopRanIsNotLost) {
  Loop loop;
  int heard = 0;
  const SignalWatcher watcher(loop, {SIGUSR1}, [&](int signal) {
    heard = signal;
    loop.stop();
  });
  ::raise(SIGUSR1);
  loop.run();
  EXPECT_EQ(heard, SIGUSR1);
}

TEST(SignalWatcher, GivesTheSignalBackWhenItGoes) {
  Loop loop;
  {
    const SignalWatcher watcher(loop, {SIGUSR1}, [](int) {});
  }
  struct sigaction now {};
  ::sigaction(SIGUSR1, nullptr, &now);
  EXPECT_EQ(now.sa_handler, SIG_DFL);
}

}  // namespace
}  // namespace holdfast
