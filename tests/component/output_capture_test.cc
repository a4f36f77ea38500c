#include "worker/output_capture.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "component/run_until.h"
#include "loop/loop.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Pair;

// The test plays the worker: it holds duplicates of the worker's ends.
class OutputCaptureTest : public testing::Test {
 protected:
  OutputCaptureTest() {
    (void)::signal(SIGPIPE, SIG_IGN);
    Result<std::unique_ptr<OutputCapture>> created =
        OutputCapture::create(loop_, "web", SlotId{3}, [this](OutputStream stream, std::string_view line) {
          lines_.emplace_back(stream, line);
          bytes_ += line.size();
        });
    EXPECT_TRUE(created);
    capture_ = *std::move(created);
    output_ = UniqueFd(::fcntl(capture_->standard_output().get(), F_DUPFD_CLOEXEC, 0));
    error_ = UniqueFd(::fcntl(capture_->standard_error().get(), F_DUPFD_CLOEXEC, 0));
    capture_->on_started(4711);
  }

  static void say(const UniqueFd& fd, std::string_view text) {
    ASSERT_EQ(::write(fd.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  [[nodiscard]] bool wait_for_lines(std::size_t count) {
    return run_until(loop_, [&] { return lines_.size() >= count; });
  }

  Loop loop_;
  std::vector<std::pair<OutputStream, std::string>> lines_;
  std::size_t bytes_ = 0;
  std::unique_ptr<OutputCapture> capture_;
  UniqueFd output_;
  UniqueFd error_;
};

TEST_F(OutputCaptureTest, GivesEachLineBehindPoolSlotAndPid) {
  say(output_, "hello\nwor");
  say(error_, "oh\n");
  ASSERT_TRUE(wait_for_lines(2));
  say(output_, "ld\n");
  ASSERT_TRUE(wait_for_lines(3));
  EXPECT_THAT(lines_, IsSupersetOf({Pair(OutputStream::Standard, "[web/3 4711] hello\n"),
                                    Pair(OutputStream::Error, "[web/3 4711] oh\n"),
                                    Pair(OutputStream::Standard, "[web/3 4711] world\n")}));
}

TEST_F(OutputCaptureTest, BreaksALineOfMoreThan8KiB) {
  say(output_, std::string(10'000, 'x') + "\n");
  ASSERT_TRUE(wait_for_lines(2));
  EXPECT_EQ(lines_[0].second, "[web/3 4711] " + std::string(8192, 'x') + "\n");
  EXPECT_EQ(lines_[1].second, "[web/3 4711] " + std::string(10'000 - 8192, 'x') + "\n");
}

TEST_F(OutputCaptureTest, KeepsTheLastTwentyLines) {
  for (int i = 0; i < 25; ++i) say(error_, "line " + std::to_string(i) + "\n");
  say(error_, std::string(5000, 'y') + "\n");
  ASSERT_TRUE(wait_for_lines(26));
  const std::vector<std::string> last = capture_->last_lines();
  ASSERT_EQ(last.size(), 20U);
  EXPECT_EQ(last.front(), "line 6");
  EXPECT_EQ(last[18], "line 24");
  EXPECT_EQ(last.back(), std::string(1024, 'y'));
}

TEST_F(OutputCaptureTest, KeepsFewerLinesWhereThereWereFewer) {
  EXPECT_THAT(capture_->last_lines(), IsEmpty());
  say(output_, "only\n");
  ASSERT_TRUE(wait_for_lines(1));
  EXPECT_THAT(capture_->last_lines(), ElementsAre("only"));
}

TEST_F(OutputCaptureTest, GivesWhatIsLeftWhenTheWorkerHasEnded) {
  say(output_, "first\nlast words");
  say(error_, "killed");
  output_.reset();
  error_.reset();
  capture_->on_ended();
  EXPECT_THAT(lines_, ElementsAre(Pair(OutputStream::Standard, "[web/3 4711] first\n"),
                                  Pair(OutputStream::Standard, "[web/3 4711] last words\n"),
                                  Pair(OutputStream::Error, "[web/3 4711] killed\n")));
  capture_->on_ended();  // once more is harmless
  EXPECT_EQ(lines_.size(), 3U);
}

TEST_F(OutputCaptureTest, DoesNotWaitForAGrandchildThatKeepsThePipe) {
  say(output_, "parent ends\n");
  capture_->on_ended();  // output_ and error_ are still open, as a grandchild's would be
  EXPECT_THAT(lines_, ElementsAre(Pair(OutputStream::Standard, "[web/3 4711] parent ends\n")));
  EXPECT_EQ(::write(output_.get(), "x", 1), -1);  // and it is told that nobody listens
  EXPECT_EQ(errno, EPIPE);
}

TEST_F(OutputCaptureTest, EndsEvenWhileAGrandchildGoesOnWriting) {
  std::thread grandchild([fd = output_.get()] {
    std::string text;  // written faster than it can be cut into lines
    while (text.size() < 64 * 1024) text += std::string(15, 'z') + "\n";
    while (::write(fd, text.data(), text.size()) > 0) {
    }
  });
  ASSERT_TRUE(wait_for_lines(10'000));
  const std::size_t before = bytes_;
  capture_->on_ended();
  grandchild.join();
  // What can be in the pipe when the worker ends, and the prefix of each line of it.
  EXPECT_LE(bytes_ - before, (256U + 64U) * 1024U / 16U * (16U + sizeof "[web/3 4711] "));
}

TEST_F(OutputCaptureTest, AFloodGetsAtMost64KiBOfATurn) {
  // Something else that is always ready sees each turn of the loop.
  OutputPipe other = *make_output_pipe(4096);
  ASSERT_EQ(::write(other.writer.get(), "x", 1), 1);
  std::size_t most = 0;
  std::size_t before = 0;
  FdWatcher each_turn(loop_, other.reader, [&](FdWatcher::Ready) {
    most = std::max(most, bytes_ - before);
    before = bytes_;
  });
  each_turn.watch(FdWatcher::Interest::Readable);
  std::atomic<bool> enough = false;
  std::thread flood([&] {
    const std::string text = std::string(1023, 'z') + "\n";
    while (!enough && ::write(output_.get(), text.data(), text.size()) > 0) {
    }
  });
  ASSERT_TRUE(wait_for_lines(5000));
  enough = true;
  ASSERT_TRUE(run_until(loop_, [&] { return bytes_ > 0; }));
  capture_->on_ended();
  flood.join();
  EXPECT_GT(most, 0U);
  // 64 lines of 1 KiB with their prefixes, and one that had begun in the turn before.
  EXPECT_LE(most, 65 * (1024 + sizeof "[web/3 4711] "));
}

TEST_F(OutputCaptureTest, AWorkerThatClosesItsOutputCostsNothing) {
  output_.reset();
  run_for(loop_, 20ms);
  EXPECT_FALSE(spins(loop_)) << "the loop spins";
  say(error_, "still here\n");
  EXPECT_TRUE(wait_for_lines(1));
}

TEST_F(OutputCaptureTest, TheWorkersEndsAreBlockingAsProgramsExpect) {
  EXPECT_EQ(::fcntl(output_.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(::fcntl(error_.get(), F_GETFL) & O_NONBLOCK, 0);
}

}  // namespace
}  // namespace holdfast
