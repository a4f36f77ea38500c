// What a worker says by sd_notify is heard, from the worker only, whatever it sends along.
#include "worker/notify_socket.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "component/kernel_fixtures.h"
#include "component/run_until.h"
#include "support/process.h"
#include "sys/sockets.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

constexpr uid_t kNobody = 65534;

// A client of the socket, as the C library of a worker would be.
class Sender {
 public:
  explicit Sender(const std::string& address) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)) {
    sockaddr_un name{};
    name.sun_family = AF_UNIX;
    address.copy(name.sun_path, sizeof name.sun_path);
    name.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.size());
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&name), length), 0);
  }
  [[nodiscard]] bool send(std::string_view text) const {
    return ::send(fd_.get(), text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
  }
  [[nodiscard]] bool send_with(std::string_view text, BorrowedFd passed) const {
    iovec part{const_cast<char*>(text.data()), text.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int number = passed.get();
    std::memcpy(CMSG_DATA(header), &number, sizeof number);
    return ::sendmsg(fd_.get(), &message, MSG_NOSIGNAL) >= 0;
  }

 private:
  UniqueFd fd_;
};

class NotifySocketTest : public testing::Test {
 protected:
  NotifySocketTest() { make(::geteuid()); }
  void make(uid_t worker_user) {
    Result<std::unique_ptr<NotifySocket>> made =
        NotifySocket::create(loop_, worker_user, [this](const NotifyMessage& message, pid_t sender) {
          messages_.push_back(message);
          senders_.push_back(sender);
          ++heard_in_turn_[turns_];
        });
    ASSERT_TRUE(made) << made.error().message();
    socket_ = *std::move(made);
  }
  [[nodiscard]] bool hear(std::size_t count) {
    return run_until(loop_, [&] { return messages_.size() >= count; });
  }
  // Runs a program as a worker would: with the address in its environment. It answers whether it ended well.
  [[nodiscard]] bool run_program(std::vector<std::string> command) {
    test::ProcessPlan plan;
    plan.command = std::move(command);
    plan.environment = {"NOTIFY_SOCKET=" + socket_->address()};
    plan.output_file = directory_ / "output";
    plan.error_file = directory_ / "errors";
    test::Process program(plan);
    return run_until(loop_, [&] { return !program.running(); }) && program.exit_code() == 0;
  }

  TemporaryDirectory directory_;
  Loop loop_;
  std::unique_ptr<NotifySocket> socket_;
  std::vector<NotifyMessage> messages_;
  std::vector<pid_t> senders_;
  int turns_ = 0;
  std::map<int, int> heard_in_turn_;
};

TEST_F(NotifySocketTest, HearsTheRealSystemdNotify) {
  if (test::run({"/bin/sh", "-c", "command -v systemd-notify"}).exit_code != 0)
    GTEST_SKIP() << "systemd-notify is not installed (package systemd)";
  // It ends when its BARRIER is through, or fails after five seconds.
  ASSERT_TRUE(run_program({"systemd-notify", "--ready", "--status=Serving K\xC3\xB6ln"}));
  ASSERT_FALSE(messages_.empty());
  EXPECT_TRUE(messages_[0].is_ready);
  EXPECT_EQ(messages_[0].status, "Serving K\xC3\xB6ln");
  EXPECT_EQ(socket_->ignored().strangers + socket_->ignored().garbage, 0u);

  messages_.clear();
  ASSERT_TRUE(run_program({"systemd-notify", "WATCHDOG=1", "EXTEND_TIMEOUT_USEC=1000000"}));
  ASSERT_FALSE(messages_.empty());
  EXPECT_EQ(messages_[0].watchdog, NotifyMessage::Watchdog::Beat);
  EXPECT_EQ(messages_[0].extend_timeout, 1s);
}

TEST_F(NotifySocketTest, HearsAWorkerInAnotherLanguage) {
  ASSERT_TRUE(run_program({"/usr/bin/env", "python3", "-c",
                           "import os, socket\n"
                           "name = os.environ['NOTIFY_SOCKET']\n"
                           "s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n"
                           "s.connect('\\0' + name[1:] if name[0] == '@' else name)\n"
                           "s.sendall(b'STOPPING=1\\nERRNO=5\\nMAINPID=%d' % os.getpid())\n"}));
  ASSERT_TRUE(hear(1));
  EXPECT_TRUE(messages_[0].is_stopping);
  EXPECT_EQ(messages_[0].error, 5);
  EXPECT_EQ(messages_[0].main_pid, senders_[0]);
}

TEST_F(NotifySocketTest, HasANameOfItsOwnForEachWorker) {
  const std::unique_ptr<NotifySocket> first = std::move(socket_);
  make(::geteuid());
  EXPECT_NE(first->address(), socket_->address());
  EXPECT_EQ(first->address()[0], '@');
  EXPECT_GT(first->address().size(), 1u);
  EXPECT_EQ(first->address().find('\0'), std::string::npos);
  ASSERT_TRUE(Sender(socket_->address()).send("READY=1"));
  ASSERT_TRUE(hear(1));
  EXPECT_EQ(senders_[0], ::getpid());
}

TEST_F(NotifySocketTest, IgnoresAndCountsWhatIsNoMessage) {
  const Sender sender(socket_->address());
  ASSERT_TRUE(sender.send(std::string_view("READY=1\0X=1", 11)));
  ASSERT_TRUE(sender.send("READY=1\n" + std::string(kMaxNotifyDatagram, 'x')));
  ASSERT_TRUE(sender.send(""));
  ASSERT_TRUE(sender.send("READY=1"));
  ASSERT_TRUE(hear(2));
  EXPECT_EQ(messages_[0], NotifyMessage{});
  EXPECT_TRUE(messages_[1].is_ready);
  EXPECT_EQ(socket_->ignored().garbage, 2u);
}

TEST_F(NotifySocketTest, ClosesDescriptorsThatComeAlong) {
  const Sender sender(socket_->address());
  Pipe pipe = make_pipe();
  const std::uint64_t before = open_file_count();
  ASSERT_TRUE(sender.send_with("FDSTORE=1\nFDNAME=x", pipe.write));
  ASSERT_TRUE(sender.send_with("BARRIER=1", pipe.write));
  ASSERT_TRUE(hear(2));
  EXPECT_EQ(open_file_count(), before);
  pipe.write.reset();
  EXPECT_TRUE(wait_for(pipe.read, 0)) << "somebody still holds the other side";  // POLLHUP comes unasked
}

TEST_F(NotifySocketTest, NeedsNoDescriptorToReceiveOne) {
  const Sender sender(socket_->address());
  const Pipe pipe = make_pipe();
  ASSERT_TRUE(sender.send_with("FDSTORE=1\nREADY=1", pipe.write));
  {
    const FewDescriptors few(0);
    socket_->on_ended();
  }
  ASSERT_EQ(messages_.size(), 1u);
  EXPECT_TRUE(messages_[0].is_ready);
}

TEST_F(NotifySocketTest, LeavesATurnToTheOthersWhenOneTalksWithoutEnd) {
  const Sender sender(socket_->address());
  std::size_t sent = 0;
  while (sent < 100 && sender.send("WATCHDOG=1")) ++sent;
  ASSERT_GE(sent, 10u);  // net.unix.max_dgram_qlen is not less anywhere
  const Pipe pipe = make_pipe();
  ASSERT_EQ(::write(pipe.write.get(), "x", 1), 1);
  FdWatcher always(loop_, pipe.read, [&](FdWatcher::Ready) { ++turns_; });
  always.watch(FdWatcher::Interest::Readable);
  ASSERT_TRUE(hear(sent));
  for (const auto& [turn, heard] : heard_in_turn_) EXPECT_LE(heard, 8) << "turn " << turn;
}

TEST_F(NotifySocketTest, HearsTheLastWordsOfAWorkerThatHasEnded) {
  ASSERT_TRUE(Sender(socket_->address()).send("STATUS=out of memory\nERRNO=12"));
  socket_->on_ended();
  ASSERT_EQ(messages_.size(), 1u);
  EXPECT_EQ(messages_[0].error, 12);
  socket_->on_ended();
  EXPECT_EQ(messages_.size(), 1u);
}

// Sends as another user, from a child process.
[[nodiscard]] bool send_as(uid_t user, const std::string& address, std::string_view text) {
  const pid_t child = ::fork();
  if (child == 0) {
    const bool changed = ::setgroups(0, nullptr) == 0 && ::setresgid(kNobody, kNobody, kNobody) == 0 &&
                         ::setresuid(user, user, user) == 0;
    ::_exit(changed && Sender(address).send(text) ? 0 : 1);
  }
  int status = -1;
  return ::waitpid(child, &status, 0) == child && status == 0;
}

TEST_F(NotifySocketTest, IgnoresAndCountsOtherUsers) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can send as another user";
  ASSERT_TRUE(send_as(kNobody, socket_->address(), "READY=1"));
  ASSERT_TRUE(send_as(0, socket_->address(), "STOPPING=1"));
  ASSERT_TRUE(hear(1));
  EXPECT_FALSE(messages_[0].is_ready);
  EXPECT_TRUE(messages_[0].is_stopping);
  EXPECT_EQ(socket_->ignored().strangers, 1u);
}

TEST_F(NotifySocketTest, HearsTheUserOfTheWorkerAndOurs) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can send as another user";
  make(kNobody);
  ASSERT_TRUE(send_as(kNobody, socket_->address(), "READY=1"));
  ASSERT_TRUE(send_as(0, socket_->address(), "STOPPING=1"));
  ASSERT_TRUE(send_as(1, socket_->address(), "WATCHDOG=1"));
  ASSERT_TRUE(hear(2));
  ASSERT_TRUE(run_until(loop_, [&] { return socket_->ignored().strangers == 1; }));
  EXPECT_EQ(messages_.size(), 2u);
}

}  // namespace
}  // namespace holdfast
