#include "loop/fd_watcher.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <optional>

#include "component/kernel_fixtures.h"
#include "loop/timer.h"
#include "sys/fd_passing.h"
#include "sys/sockets.h"
#include "sys/spawn.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using Interest = FdWatcher::Interest;

// Long enough for a turn or two in which nothing should happen.
class ShortWhile {
 public:
  explicit ShortWhile(Loop& loop) : loop_(loop), timer_(loop, [&loop] { loop.stop(); }) {}
  void pass() {
    timer_.arm(std::chrono::steady_clock::now() + 5ms);
    loop_.run();
  }

 private:
  Loop& loop_;
  Timer timer_;
};

TEST(FdWatcher, TellsWhatIsReadableUntilItIsRead) {
  Loop loop;
  const Pipe pipe = make_pipe();
  int calls = 0;
  FdWatcher watcher(loop, pipe.read, [&](FdWatcher::Ready ready) {
    EXPECT_TRUE(ready.readable);
    EXPECT_FALSE(ready.writable);
    if (++calls < 3) return;  // level-triggered: it comes again
    char byte = 0;
    EXPECT_EQ(::read(pipe.read.get(), &byte, 1), 1);
    loop.stop();
  });
  watcher.watch(Interest::Readable);
  ASSERT_EQ(::write(pipe.write.get(), "x", 1), 1);
  loop.run();
  ShortWhile(loop).pass();
  EXPECT_EQ(calls, 3);
}

TEST(FdWatcher, IsSilentUntilAskedAndWhenAskedToBe) {
  Loop loop;
  const Pipe pipe = make_pipe();
  ASSERT_EQ(::write(pipe.write.get(), "x", 1), 1);
  int calls = 0;
  FdWatcher watcher(loop, pipe.read, [&](FdWatcher::Ready) {
    ++calls;
    watcher.watch(Interest::None);  // from inside its own callback
  });
  ShortWhile(loop).pass();
  EXPECT_EQ(calls, 0);
  watcher.watch(Interest::Readable);
  ShortWhile(loop).pass();
  EXPECT_EQ(calls, 1);
  watcher.watch(Interest::Readable);
  ShortWhile(loop).pass();
  EXPECT_EQ(calls, 2);
}

TEST(FdWatcher, TellsReadableFromWritable) {
  Loop loop;
  const Result<ChannelPair> channel = make_channel(0);
  ASSERT_TRUE(channel);
  std::optional<FdWatcher::Ready> heard;
  FdWatcher watcher(loop, channel->supervisor_end, [&](FdWatcher::Ready ready) {
    heard = ready;
    loop.stop();
  });
  watcher.watch(Interest::Both);
  loop.run();
  EXPECT_FALSE(heard->readable);
  EXPECT_TRUE(heard->writable);

  ASSERT_EQ(::send(channel->worker_end.get(), "x", 1, 0), 1);
  loop.run();
  EXPECT_TRUE(heard->readable);
  EXPECT_TRUE(heard->writable);

  watcher.watch(Interest::Readable);
  loop.run();
  EXPECT_TRUE(heard->readable);
  EXPECT_FALSE(heard->writable);
}

TEST(FdWatcher, AHangUpAndAnErrorAreReadableAndComeAgain) {
  Loop loop;
  // A pipe without readers has EPOLLERR, which libuv reports once and then stops watching.
  Pipe pipe = make_pipe();
  int errors = 0;
  FdWatcher broken(loop, pipe.write, [&](FdWatcher::Ready ready) {
    EXPECT_TRUE(ready.readable);
    EXPECT_TRUE(ready.writable);
    if (++errors < 3) return;
    broken.watch(Interest::None);
    loop.stop();
  });
  pipe.read.reset();
  broken.watch(Interest::Writable);
  loop.run();
  EXPECT_EQ(errors, 3);

  Result<ChannelPair> channel = make_channel(0);
  ASSERT_TRUE(channel);
  bool hung_up = false;
  FdWatcher ended(loop, channel->supervisor_end, [&](FdWatcher::Ready ready) {
    hung_up = ready.readable;
    loop.stop();
  });
  ended.watch(Interest::Readable);
  channel->worker_end.reset();
  loop.run();
  EXPECT_TRUE(hung_up);
}

TEST(FdWatcher, TellsTheEndOfAChild) {
  Loop loop;
  SpawnPlan plan;
  plan.command = {"/bin/sh", "-c", "exit 4"};
  const Result<Child> child = spawn(plan);
  ASSERT_TRUE(child);
  std::optional<ExitStatus> status;
  FdWatcher watcher(loop, child->pidfd, [&](FdWatcher::Ready) {
    const Result<std::optional<ExitStatus>> collected = reap(child->pidfd);
    ASSERT_TRUE(collected);
    status = *collected;
    watcher.watch(Interest::None);
    loop.stop();
  });
  watcher.watch(Interest::Readable);
  loop.run();
  EXPECT_EQ(status, (ExitStatus{4, 0, false}));
}

TEST(FdWatcher, ANumberThatIsUsedAgainIsWatchedAfresh) {
  Loop loop;
  int calls = 0;
  for (int round = 1; round <= 3; ++round) {
    Pipe pipe = make_pipe();  // the same numbers each time
    FdWatcher watcher(loop, pipe.read, [&](FdWatcher::Ready) {
      ++calls;
      loop.stop();
    });
    watcher.watch(Interest::Readable);
    ASSERT_EQ(::write(pipe.write.get(), "x", 1), 1);
    loop.run();
    EXPECT_EQ(calls, round);
  }
}

TEST(FdWatcher, HearsAHangUpAndNothingElse) {
  Loop loop;
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  const UniqueFd ours(ends[0]);
  const UniqueFd theirs(ends[1]);
  int calls = 0;
  FdWatcher watcher(loop, ours, [&](FdWatcher::Ready ready) {
    ++calls;
    EXPECT_TRUE(ready.hung_up);
    loop.stop();
  });
  watcher.watch(Interest::HangUp);
  ASSERT_EQ(::write(theirs.get(), "x", 1), 1);
  ShortWhile(loop).pass();
  EXPECT_EQ(calls, 0);
  ::shutdown(theirs.get(), SHUT_WR);
  loop.run();
  EXPECT_EQ(calls, 1);
}

TEST(FdWatcher, HearsThatAListenerIsShutDown) {
  Loop loop;
  const Result<ListenAddress> address = parse_listen_address("127.0.0.1:0");
  const Result<ListeningSocket> listener = listen_on(*address, 8);
  ASSERT_TRUE(listener);
  bool hung_up = false;
  FdWatcher watcher(loop, listener->fd, [&](FdWatcher::Ready ready) {
    hung_up = ready.hung_up;
    loop.stop();
  });
  watcher.watch(Interest::HangUp);
  ::shutdown(listener->fd.get(), SHUT_RDWR);
  loop.run();
  EXPECT_TRUE(hung_up);
}

}  // namespace
}  // namespace holdfast
