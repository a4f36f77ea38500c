#include "sys/reuseport.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>
#include <vector>

#include "component/steer_fixtures.h"
#include "sys/sockets.h"

namespace holdfast {
namespace {

constexpr int kBacklog = 64;
const char* const kTcp = "127.0.0.1:0";
const char* const kUdp = "udp://127.0.0.1:0";

GroupSocket control_on(const std::string& text) {
  Result<GroupSocket> control = open_control_socket(group_of(text), kBacklog, Sibling::None);
  if (!control) {
    ADD_FAILURE() << control.error().message();
    std::abort();
  }
  return *std::move(control);
}

UniqueFd member_of(const GroupSocket& control) {
  Result<UniqueFd> member = open_member_socket(control.bound, kBacklog);
  if (!member) {
    ADD_FAILURE() << member.error().message();
    std::abort();
  }
  return *std::move(member);
}

UniqueFd client_of(const GroupSocket& control, int type = SOCK_STREAM) {
  return connect_from(loopback_client(1), control.bound.port, type);
}

TEST(Reuseport, SocketsAreNonBlockingAndCloseOnExecAndTellTheirPort) {
  for (const char* text : {kTcp, kUdp}) {
    const GroupSocket control = control_on(text);
    EXPECT_NE(control.bound.port, 0);
    const UniqueFd member = member_of(control);
    for (const int fd : {control.fd.get(), member.get()}) {
      EXPECT_NE(::fcntl(fd, F_GETFL) & O_NONBLOCK, 0) << text;
      EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC) << text;
    }
  }
}

TEST(Reuseport, TheControlSocketGetsEverybodyAtFirst) {
  const GroupSocket control = control_on(kTcp);
  const std::vector<UniqueFd> members = [&] {
    std::vector<UniqueFd> some;
    for (int i = 0; i < 7; ++i) some.push_back(member_of(control));
    return some;
  }();
  std::vector<UniqueFd> clients;
  for (std::uint32_t n = 0; n < 40; ++n) clients.push_back(connect_from(loopback_client(n), control.bound.port));
  EXPECT_EQ(accept_queue_length(control.fd), 40U);
}

TEST(Reuseport, AnotherServerOnTheAddressIsNoticed) {
  const Result<ListeningSocket> other = listen_on(*parse_listen_address(kTcp), kBacklog);
  ASSERT_TRUE(other);
  GroupAddress same = group_of(kTcp);
  same.port = std::get<TcpAddress>(other->bound).port;
  for (const Sibling sibling : {Sibling::None, Sibling::Holds}) {
    const auto control = open_control_socket(same, kBacklog, sibling);
    ASSERT_FALSE(control);
    EXPECT_EQ(control.error().code, std::errc::address_in_use);
    EXPECT_EQ(control.error().doing, "listen on " + to_text(same));
  }
}

TEST(Reuseport, AProgramThatTheKernelRefusesLeavesTheOldOne) {
  const GroupSocket control = control_on(kTcp);
  const UniqueFd member = member_of(control);
  ASSERT_TRUE(attach_program(control.fd, constant_program(1)));
  const std::vector<BpfInstruction> too_long(4097, constant_program(0).front());
  const std::vector<BpfInstruction> endless{{0x05, 0, 0, 7}};  // a jump out of the program
  for (const auto& program : {too_long, endless, std::vector<BpfInstruction>{}}) {
    const Outcome refused = attach_program(control.fd, program);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, std::errc::invalid_argument);
    EXPECT_THAT(refused.error().doing, testing::HasSubstr(std::to_string(program.size()) + " instructions"));
  }
  const UniqueFd client = client_of(control);
  EXPECT_EQ(accept_queue_length(member), 1U);
}

TEST(Reuseport, AMemberTakesNoProgram) {
  const GroupSocket control = control_on(kTcp);
  const UniqueFd member = member_of(control);
  const Outcome refused = attach_program(member, constant_program(1));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, std::errc::operation_not_permitted);
}

TEST(Reuseport, TellsHowManyWait) {
  const GroupSocket control = control_on(kTcp);
  EXPECT_EQ(accept_queue_length(control.fd), 0U);
  std::vector<UniqueFd> clients;
  for (unsigned n = 1; n <= 5; ++n) {
    clients.push_back(client_of(control));
    EXPECT_EQ(accept_queue_length(control.fd), n);
  }
  EXPECT_EQ(accept_queue_length(clients.front()), 0U) << "what is no listener has no queue";
}

TEST(Reuseport, TellsAndDiscardsDatagrams) {
  const GroupSocket control = control_on(kUdp);
  EXPECT_EQ(receive_queue_bytes(control.fd), 0U);
  const UniqueFd client = client_of(control, SOCK_DGRAM);
  for (int i = 0; i < 3; ++i) ASSERT_EQ(::send(client.get(), "hello", 5, 0), 5);
  ASSERT_EQ(::send(client.get(), "", 0, 0), 0);  // an empty one is one too
  EXPECT_GE(receive_queue_bytes(control.fd), 15U);
  EXPECT_EQ(discard_datagrams(control.fd), 4U);
  EXPECT_EQ(receive_queue_bytes(control.fd), 0U);
  EXPECT_EQ(discard_datagrams(control.fd), 0U);
}

TEST(Reuseport, AMemberThatIsExpelledIsOutForGood) {
  const GroupSocket control = control_on(kTcp);
  const UniqueFd member = member_of(control);
  const UniqueFd worker(::fcntl(member.get(), F_DUPFD_CLOEXEC, 0));
  EXPECT_TRUE(is_listening(member));
  expel(member);
  EXPECT_FALSE(is_listening(member));
  EXPECT_EQ(::listen(worker.get(), kBacklog), -1);
  EXPECT_EQ(errno, EADDRINUSE);
  ASSERT_TRUE(attach_program(control.fd, constant_program(1)));
  const UniqueFd next = member_of(control);
  const UniqueFd client = client_of(control);
  EXPECT_EQ(accept_queue_length(next), 1U);
}

TEST(Reuseport, MakesADescriptionNonBlockingAgain) {
  const GroupSocket control = control_on(kTcp);
  ASSERT_EQ(::fcntl(control.fd.get(), F_SETFL, 0), 0);
  make_nonblocking(control.fd);
  EXPECT_NE(::fcntl(control.fd.get(), F_GETFL) & O_NONBLOCK, 0);
}

}  // namespace
}  // namespace holdfast
