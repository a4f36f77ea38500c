#include "sys/fd_passing.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "component/kernel_fixtures.h"
#include "sys/sockets.h"

namespace holdfast {
namespace {

ChannelPair new_channel(std::size_t send_buffer = 0) {
  Result<ChannelPair> channel = make_channel(send_buffer);
  if (!channel) std::abort();
  return *std::move(channel);
}

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

SendOutcome send(BorrowedFd channel, std::string_view text, std::vector<int> fds = {}) {
  const Result<SendOutcome> outcome = send_with_fds(channel, bytes_of(text), fds);
  if (!outcome) std::abort();
  return *outcome;
}

struct Message {
  Received received;
  std::string text;
};
Message receive(BorrowedFd channel, std::size_t room = 4096) {
  std::vector<std::byte> buffer(room);
  Result<Received> received = receive_with_fds(channel, buffer);
  if (!received) std::abort();
  const std::string text(reinterpret_cast<const char*>(buffer.data()), received->length);
  return {*std::move(received), text};
}

std::size_t unread(BorrowedFd channel) {
  const Result<std::size_t> count = unread_bytes(channel);
  return count ? *count : std::size_t(-1);
}

// Runs `work` in a process of its own, which ends by itself or by a signal; answers what waitpid says.
template <class Work>
int in_child(Work work) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    work();
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(pid, &status, 0);
  return status;
}

TEST(FdPassing, CarriesAMessageWithItsDescriptors) {
  const ChannelPair channel = new_channel();
  Pipe pipe = make_pipe();
  ASSERT_EQ(send(channel.supervisor_end, "one", {pipe.write.get()}), SendOutcome::Sent);
  pipe.write.reset();
  {
    const Message message = receive(channel.worker_end);
    ASSERT_EQ(message.received.state, Received::State::Message);
    EXPECT_EQ(message.text, "one");
    EXPECT_FALSE(message.received.truncated);
    EXPECT_FALSE(message.received.fds_lost);
    ASSERT_EQ(message.received.fds.size(), 1U);
    EXPECT_EQ(::fcntl(message.received.fds[0].get(), F_GETFD), FD_CLOEXEC);
    ASSERT_EQ(::write(message.received.fds[0].get(), "x", 1), 1);
  }
  EXPECT_EQ(read_all(pipe.read), "x");
}

TEST(FdPassing, CarriesAFullBatchAndTheKernelsMostInOneMessage) {
  const std::uint64_t before = open_file_count();
  {
    const ChannelPair channel = new_channel();
    const Pipe pipe = make_pipe();
    for (const std::size_t count : {64U, 253U}) {
      ASSERT_EQ(send(channel.supervisor_end, "batch", std::vector<int>(count, pipe.read.get())), SendOutcome::Sent);
      EXPECT_EQ(receive(channel.worker_end).received.fds.size(), count);
    }
    const Result<SendOutcome> outcome =
        send_with_fds(channel.supervisor_end, bytes_of("too many"), std::vector<int>(254, pipe.read.get()));
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, std::errc::invalid_argument);
  }
  EXPECT_EQ(open_file_count(), before);
}

TEST(FdPassing, AnEmptyQueueIsNoErrorAndAFullOneIsNone) {
  const ChannelPair channel = new_channel();
  EXPECT_EQ(receive(channel.worker_end).received.state, Received::State::WouldBlock);
  const std::string text(2048, 'x');
  std::size_t sent = 0;
  while (send(channel.supervisor_end, text) == SendOutcome::Sent) ++sent;
  EXPECT_EQ(send(channel.supervisor_end, text), SendOutcome::WouldBlock);
  EXPECT_GT(sent, 0U);
  while (receive(channel.worker_end).received.state == Received::State::Message) --sent;
  EXPECT_EQ(sent, 0U);
  EXPECT_EQ(send(channel.supervisor_end, text), SendOutcome::Sent);
}

TEST(FdPassing, ALargerSendBufferHoldsMore) {
  const auto fills_with = [](std::size_t send_buffer) {
    const ChannelPair channel = new_channel(send_buffer);
    std::size_t sent = 0;
    while (send(channel.supervisor_end, std::string(1000, 'x')) == SendOutcome::Sent) ++sent;
    return sent;
  };
  EXPECT_LT(fills_with(16 * 1024), fills_with(64 * 1024));
}

TEST(FdPassing, TheEndOfAPeerIsToldOnBothSides) {
  ChannelPair channel = new_channel();
  ASSERT_EQ(send(channel.worker_end, "last words"), SendOutcome::Sent);
  channel.worker_end.reset();
  EXPECT_EQ(send(channel.supervisor_end, "hello?"), SendOutcome::Gone);
  EXPECT_EQ(receive(channel.supervisor_end).text, "last words");
  EXPECT_EQ(receive(channel.supervisor_end).received.state, Received::State::Closed);

  ChannelPair unread_channel = new_channel();
  ASSERT_EQ(send(unread_channel.supervisor_end, "never read"), SendOutcome::Sent);
  unread_channel.worker_end.reset();
  EXPECT_EQ(receive(unread_channel.supervisor_end).received.state, Received::State::Closed);
}

TEST(FdPassing, AnEmptyMessageOfAStrangerIsNotTheEndOfTheChannel) {
  const ChannelPair channel = new_channel();
  ASSERT_EQ(::send(channel.worker_end.get(), "", 0, 0), 0);
  ASSERT_EQ(send(channel.worker_end, "still here"), SendOutcome::Sent);
  const Message empty = receive(channel.supervisor_end);
  EXPECT_EQ(empty.received.state, Received::State::Message);
  EXPECT_EQ(empty.received.length, 0U);
  EXPECT_EQ(receive(channel.supervisor_end).text, "still here");
}

TEST(FdPassing, AMessageLongerThanTheBufferIsReportedAndItsDescriptorsDoNotLeak) {
  const std::uint64_t before = open_file_count();
  {
    const ChannelPair channel = new_channel();
    const Pipe pipe = make_pipe();
    ASSERT_EQ(send(channel.supervisor_end, "0123456789", {pipe.read.get()}), SendOutcome::Sent);
    const Message message = receive(channel.worker_end, 4);
    EXPECT_TRUE(message.received.truncated);
    EXPECT_EQ(message.text, "0123");
    EXPECT_EQ(message.received.fds.size(), 1U);
  }
  EXPECT_EQ(open_file_count(), before);
}

TEST(FdPassing, UnreadBytesTellWhichMessagesWereTaken) {
  const ChannelPair channel = new_channel();
  const Pipe pipe = make_pipe();
  const std::array<std::size_t, 3> lengths{10, 200, 3000};
  std::size_t expected = 0;
  for (const std::size_t length : lengths) {
    ASSERT_EQ(send(channel.supervisor_end, std::string(length, 'x'), {pipe.read.get()}), SendOutcome::Sent);
    expected += length;
    EXPECT_EQ(unread(channel.worker_end), expected);
  }
  for (const std::size_t length : lengths) {
    (void)receive(channel.worker_end, 5);  // even one that did not fit is gone as a whole
    expected -= length;
    EXPECT_EQ(unread(channel.worker_end), expected);
  }
}

TEST(FdPassing, WhatIsQueuedSurvivesAKilledWorker) {
  const ChannelPair channel = new_channel();
  std::array<Pipe, 3> pipes{make_pipe(), make_pipe(), make_pipe()};
  for (Pipe& pipe : pipes) {
    ASSERT_EQ(send(channel.supervisor_end, "connection", {pipe.write.get()}), SendOutcome::Sent);
    pipe.write.reset();
  }
  // Takes one connection, answers it with its name and ends in the given way.
  const auto serve_one = [&](const char* name, auto end) {
    const Message message = receive(channel.worker_end);
    if (message.received.fds.size() == 1) (void)!::write(message.received.fds[0].get(), name, 1);
    end();
  };
  const int first = in_child([&] { serve_one("1", [] { ::raise(SIGKILL); }); });
  EXPECT_TRUE(WIFSIGNALED(first));
  EXPECT_EQ(unread(channel.worker_end), 20U);
  EXPECT_EQ(in_child([&] { serve_one("2", [] {}); }), 0);
  serve_one("3", [] {});

  EXPECT_EQ(receive(channel.worker_end).received.state, Received::State::WouldBlock);
  EXPECT_EQ(read_all(pipes[0].read), "1");  // and its end is told at once: no duplicate is held anywhere
  EXPECT_EQ(read_all(pipes[1].read), "2");
  EXPECT_EQ(read_all(pipes[2].read), "3");
}

TEST(FdPassing, DescriptorsThatTheReceiverCannotHoldAreReportedAsLost) {
  const std::uint64_t before = open_file_count();
  {
    const ChannelPair channel = new_channel();
    const Pipe pipe = make_pipe();
    ASSERT_EQ(send(channel.supervisor_end, "sixteen", std::vector<int>(16, pipe.read.get())), SendOutcome::Sent);
    const FewDescriptors few(5);
    const Message message = receive(channel.worker_end);
    EXPECT_EQ(message.text, "sixteen");
    EXPECT_TRUE(message.received.fds_lost);
    EXPECT_EQ(message.received.fds.size(), 5U);
  }
  EXPECT_EQ(open_file_count(), before);
}

TEST(FdPassing, TooManyDescriptorsInFlightAreToldApartFromAFullQueue) {
  enum Answer { kAsExpected = 0, kNoPrivilegesToDrop, kOtherOutcome, kNotAgainAfterReading };
  const int status = in_child([] {
    // The limit does not bind root.
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(kNoPrivilegesToDrop);
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 256;
    ::setrlimit(RLIMIT_NOFILE, &limit);

    const ChannelPair channel = new_channel();
    const std::vector<int> fds(16, STDOUT_FILENO);
    SendOutcome outcome = SendOutcome::Sent;
    while (outcome == SendOutcome::Sent) outcome = send(channel.supervisor_end, "sixteen", fds);
    if (outcome != SendOutcome::TooManyInFlight) ::_exit(kOtherOutcome);
    while (receive(channel.worker_end).received.state == Received::State::Message) {
    }
    if (send(channel.supervisor_end, "sixteen", fds) != SendOutcome::Sent) ::_exit(kNotAgainAfterReading);
  });
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), kAsExpected);
}

}  // namespace
}  // namespace holdfast
