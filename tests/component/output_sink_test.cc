#include "worker/output_sink.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <memory>
#include <sstream>
#include <string>

#include "component/kernel_fixtures.h"
#include "component/run_until.h"
#include "loop/loop.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class OutputSinkTest : public testing::Test {
 protected:
  OutputSinkTest() { (void)::signal(SIGPIPE, SIG_IGN); }

  // Whatever can be read now.
  static std::string read_now(const UniqueFd& fd) {
    std::string text;
    std::array<char, 65536> buffer;
    while (wait_now(fd)) {
      const ssize_t length = ::read(fd.get(), buffer.data(), buffer.size());
      if (length <= 0) break;
      text.append(buffer.data(), static_cast<std::size_t>(length));
    }
    return text;
  }
  static bool wait_now(const UniqueFd& fd) {
    pollfd asked{fd.get(), POLLIN, 0};
    return ::poll(&asked, 1, 0) == 1;
  }
  // Everything that comes until `sink` has nothing left to write and `last` has arrived.
  std::string read_until(const UniqueFd& fd, const std::string& last) {
    std::string text;
    EXPECT_TRUE(run_until(loop_, [&] {
      text += read_now(fd);
      return text.ends_with(last);
    }));
    return text;
  }
  // Writes lines "0", "1", ... of 1 KiB until something is dropped, and some more. Answers how many were written.
  static int overfill(OutputSink& sink) {
    int written = 0;
    while (sink.dropped() < 100) sink.write(numbered(written++));
    return written;
  }
  static std::string numbered(int number) {
    std::string line = std::to_string(number);
    line.resize(1023, ' ');
    return line + "\n";
  }

  Loop loop_;
};

TEST_F(OutputSinkTest, WritesToAPipeATerminalASocketAndAFile) {
  const Pipe pipe = make_pipe();
  const UniqueFd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(terminal);
  ASSERT_EQ(::grantpt(terminal.get()), 0);
  ASSERT_EQ(::unlockpt(terminal.get()), 0);
  const UniqueFd screen(::open(::ptsname(terminal.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_TRUE(screen);
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
  const UniqueFd near(pair[0]);
  const UniqueFd far(pair[1]);
  const TemporaryDirectory directory;
  const UniqueFd file(::open((directory / "log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  {
    OutputSink to_pipe(loop_, pipe.write);
    OutputSink to_terminal(loop_, screen);
    OutputSink to_socket(loop_, near);
    OutputSink to_file(loop_, file);
    for (OutputSink* const sink : {&to_pipe, &to_terminal, &to_socket, &to_file}) sink->write("one\n");
    EXPECT_EQ(read_until(pipe.read, "one\n"), "one\n");
    EXPECT_EQ(read_until(terminal, "one\r\n"), "one\r\n");
    EXPECT_EQ(read_until(far, "one\n"), "one\n");
    for (OutputSink* const sink : {&to_pipe, &to_terminal, &to_socket, &to_file}) sink->finish(1s);
  }
  std::array<char, 16> buffer{};
  EXPECT_EQ(::pread(file.get(), buffer.data(), buffer.size(), 0), 4);
  for (const UniqueFd* const fd : {&pipe.write, &screen, &near, &file}) {
    EXPECT_EQ(::fcntl(fd->get(), F_GETFL) & O_NONBLOCK, 0) << "that flag is everybody's";
  }
}

TEST_F(OutputSinkTest, AppendsToAFileThatOthersWriteTo) {
  const TemporaryDirectory directory;
  const UniqueFd file(::open((directory / "log").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  OutputSink sink(loop_, file);
  sink.write("ours\n");
  sink.finish(1s);
  ASSERT_EQ(::write(file.get(), "theirs\n", 7), 7);  // shares our offset, as with `holdfast run >log 2>&1`
  sink.write("ours\n");
  sink.finish(1s);
  std::array<char, 64> buffer{};
  const ssize_t length = ::pread(file.get(), buffer.data(), buffer.size(), 0);
  EXPECT_EQ(std::string(buffer.data(), static_cast<std::size_t>(length)), "ours\ntheirs\nours\n");
}

// A reader that does not read: nothing waits, the queue is bounded, and the gap is told where it is.
void expect_a_gap_that_is_told(const std::string& text, int written, std::uint64_t dropped) {
  std::istringstream lines(text);
  std::string line;
  int next = 0;
  std::uint64_t told = 0;
  while (std::getline(lines, line)) {
    unsigned long count = 0;
    if (std::sscanf(line.c_str(), "[holdfast] %lu lines of output dropped here", &count) == 1) {
      told += count;
      next += static_cast<int>(count);
    } else if (line != "the end") {
      ASSERT_EQ(std::atoi(line.c_str()), next) << "a line is missing that nobody told of";
      ++next;
    }
  }
  EXPECT_EQ(next, written);
  EXPECT_EQ(told, dropped);
}

TEST_F(OutputSinkTest, DropsAndCountsWhatAPipeDoesNotTake) {
  const Pipe pipe = make_pipe();
  OutputSink sink(loop_, pipe.write);
  int written = 0;
  for (int burst = 0; burst < 40; ++burst) {
    for (int i = 0; i < 100; ++i) sink.write(numbered(written++));
    run_for(loop_, 1ms);  // it may write what fits, and must come back
  }
  ASSERT_GT(sink.dropped(), 0U);
  std::string text;
  ASSERT_TRUE(run_until(loop_, [&] {
    text += read_now(pipe.read);
    return text.find("dropped here") != std::string::npos;
  }));
  sink.write("the end\n");
  text += read_until(pipe.read, "the end\n");
  expect_a_gap_that_is_told(text, written, sink.dropped());
}

TEST_F(OutputSinkTest, NeverWaitsForAPipeThatItCannotOpenForItself) {
  const Pipe pipe = make_pipe();
  std::unique_ptr<OutputSink> sink;
  {
    const FewDescriptors few(1);  // one to watch with: then opening it once more fails
    sink = std::make_unique<OutputSink>(loop_, pipe.write);
  }
  const int written = overfill(*sink);
  run_for(loop_, 20ms);
  std::string text;
  ASSERT_TRUE(run_until(loop_, [&] {
    text += read_now(pipe.read);
    return text.find("dropped here") != std::string::npos;
  }));
  sink->write("the end\n");
  text += read_until(pipe.read, "the end\n");
  expect_a_gap_that_is_told(text, written, sink->dropped());
}

TEST_F(OutputSinkTest, NeverWaitsForASocket) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
  const UniqueFd near(pair[0]);
  const UniqueFd far(pair[1]);
  OutputSink sink(loop_, near);
  const int written = overfill(sink);
  run_for(loop_, 20ms);
  std::string text;
  ASSERT_TRUE(run_until(loop_, [&] {
    text += read_now(far);
    return text.find("dropped here") != std::string::npos;
  }));
  sink.write("the end\n");
  text += read_until(far, "the end\n");
  expect_a_gap_that_is_told(text, written, sink.dropped());
}

TEST_F(OutputSinkTest, NeverWaitsForATerminalThatIsStopped) {
  const UniqueFd terminal(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_EQ(::grantpt(terminal.get()), 0);
  ASSERT_EQ(::unlockpt(terminal.get()), 0);
  const UniqueFd screen(::open(::ptsname(terminal.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  ASSERT_EQ(::tcflow(screen.get(), TCOOFF), 0);  // as Ctrl-S does
  OutputSink sink(loop_, screen);
  sink.write("after the pause\n");
  run_for(loop_, 20ms);
  EXPECT_FALSE(wait_now(terminal));
  ASSERT_EQ(::tcflow(screen.get(), TCOON), 0);
  EXPECT_EQ(read_until(terminal, "after the pause\r\n"), "after the pause\r\n");
}

TEST_F(OutputSinkTest, GoesOnWhenTheReaderHasGone) {
  Pipe pipe = make_pipe();
  OutputSink sink(loop_, pipe.write);
  pipe.read.reset();
  sink.write("lost\n");
  ASSERT_TRUE(run_until(loop_, [&] { return sink.dropped() == 1; }));
  sink.write("lost too\n");
  EXPECT_EQ(sink.dropped(), 2U);
  sink.finish(1s);
}

TEST_F(OutputSinkTest, NoticesThatTheReaderHasGoneWhileItWaitsForRoom) {
  Pipe pipe = make_pipe();
  OutputSink sink(loop_, pipe.write);
  for (int i = 0; i < 200; ++i) sink.write(numbered(i));
  run_for(loop_, 10ms);
  pipe.read.reset();
  EXPECT_TRUE(run_until(loop_, [&] { return sink.dropped() > 0; }));
}

TEST_F(OutputSinkTest, CountsTheLinesThatAFullDiskDidNotTake) {
  const UniqueFd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  ASSERT_TRUE(full);
  OutputSink sink(loop_, full);
  sink.write("one\n");
  sink.write("two\n");
  ASSERT_TRUE(run_until(loop_, [&] { return sink.dropped() == 2; }));
}

TEST_F(OutputSinkTest, FinishWritesWhatWaitsAndWaitsNoLongerThanAllowed) {
  const Pipe pipe = make_pipe();
  OutputSink sink(loop_, pipe.write);
  for (int i = 0; i < 100; ++i) sink.write(numbered(i));
  const auto start = std::chrono::steady_clock::now();
  sink.finish(50ms);
  EXPECT_LT(std::chrono::steady_clock::now() - start, 10s);
  EXPECT_EQ(read_now(pipe.read).size(), 65536U) << "what the pipe holds";
  sink.finish(1s);
  EXPECT_EQ(read_now(pipe.read).size(), 100 * 1024 - 65536U);
}

}  // namespace
}  // namespace holdfast
