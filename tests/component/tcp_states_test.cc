#include "sys/tcp_states.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstdlib>
#include <string_view>
#include <variant>
#include <vector>

#include "component/kernel_fixtures.h"
#include "sys/loopback_pair.h"
#include "sys/sockets.h"

namespace holdfast {
namespace {

TcpStates opened() {
  Result<TcpStates> states = TcpStates::open();
  if (!states) {
    ADD_FAILURE() << states.error().message();
    std::abort();
  }
  return *std::move(states);
}

UniqueFd connect_to(bool v6, std::uint16_t port) {
  sockaddr_in v4_name{};
  v4_name.sin_family = AF_INET;
  v4_name.sin_port = htons(port);
  v4_name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6_name{};
  v6_name.sin6_family = AF_INET6;
  v6_name.sin6_port = htons(port);
  v6_name.sin6_addr = in6addr_loopback;
  UniqueFd fd(::socket(v6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const auto* const name = v6 ? reinterpret_cast<sockaddr*>(&v6_name) : reinterpret_cast<sockaddr*>(&v4_name);
  if (::connect(fd.get(), name, v6 ? sizeof v6_name : sizeof v4_name) != 0) return UniqueFd();
  return fd;
}

UniqueFd accept_one(BorrowedFd listener) {
  if (!wait_for(listener, POLLIN)) return UniqueFd();
  auto answer = accept_connection(listener);
  if (!answer || !std::holds_alternative<AcceptedConnection>(*answer)) return UniqueFd();
  return std::move(std::get<AcceptedConnection>(*answer).fd);
}

bool is_open(const TcpStates& states, const ConnectionEnds& ends) { return states.are_open(std::array{ends})[0]; }

TEST(TcpStates, TellsAnOpenConnectionFromOneThatItsHolderHasClosed) {
  const TcpStates states = opened();
  Result<LoopbackPair> pair = make_loopback_pair();
  ASSERT_TRUE(pair);
  const std::optional<ConnectionEnds> ends = ends_of(pair->theirs.fd);
  ASSERT_TRUE(ends);
  EXPECT_TRUE(is_open(states, *ends));
  pair->theirs.fd.reset();
  EXPECT_FALSE(is_open(states, *ends));
}

TEST(TcpStates, WhatOnlyTheClientHasClosedIsOpen) {
  const TcpStates states = opened();
  Result<LoopbackPair> pair = make_loopback_pair();
  ASSERT_TRUE(pair);
  const std::optional<ConnectionEnds> ends = ends_of(pair->theirs.fd);
  pair->ours.reset();
  EXPECT_TRUE(is_open(states, *ends)) << "its worker has to do with it yet";
  pair->theirs.fd.reset();
  EXPECT_FALSE(is_open(states, *ends));
}

TEST(TcpStates, WhatWasResetIsClosedAndHasNoEnds) {
  const TcpStates states = opened();
  Result<LoopbackPair> pair = make_loopback_pair();
  ASSERT_TRUE(pair);
  const std::optional<ConnectionEnds> ends = ends_of(pair->theirs.fd);
  refuse_connection(std::move(pair->ours));
  ASSERT_TRUE(wait_for(pair->theirs.fd, POLLHUP));
  EXPECT_FALSE(is_open(states, *ends));
  EXPECT_FALSE(ends_of(pair->theirs.fd));
}

TEST(TcpStates, AskedForManyTellsEachInItsPlace) {
  const TcpStates states = opened();
  std::vector<LoopbackPair> pairs;
  std::vector<ConnectionEnds> ends;
  for (int i = 0; i < 100; i++) {
    pairs.push_back(*make_loopback_pair());
    ends.push_back(*ends_of(pairs.back().theirs.fd));
  }
  for (std::size_t i = 0; i < pairs.size(); i += 3) pairs[i].theirs.fd.reset();
  const std::vector<bool> open = states.are_open(ends);
  ASSERT_EQ(open.size(), ends.size());
  for (std::size_t i = 0; i < ends.size(); i++) EXPECT_EQ(open[i], i % 3 != 0) << i;
}

// Each family, and IPv4 clients of a listener of both.
TEST(TcpStates, KnowsConnectionsOfEachFamily) {
  const TcpStates states = opened();
  for (const char* const text : {"127.0.0.1:0", "[::1]:0", ":0"}) {
    Result<ListeningSocket> listener = listen_on(*parse_listen_address(text), 16);
    if (!listener) GTEST_SKIP() << "no IPv6 here: " << listener.error().message();
    const std::uint16_t port = std::get<TcpAddress>(listener->bound).port;
    const bool v6 = std::string_view(text) == "[::1]:0";
    const UniqueFd client = connect_to(v6, port);
    ASSERT_TRUE(client) << text;
    UniqueFd accepted = accept_one(listener->fd);
    const std::optional<ConnectionEnds> ends = ends_of(accepted);
    ASSERT_TRUE(ends) << text;
    EXPECT_EQ(ends->remote.is_v6(), v6);
    EXPECT_TRUE(is_open(states, *ends)) << text;
    accepted.reset();
    EXPECT_FALSE(is_open(states, *ends)) << text;
  }
}

TEST(EndsOf, WhatIsNoTcpConnectionHasNone) {
  std::array<int, 2> pair{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()), 0);
  const UniqueFd one(pair[0]), two(pair[1]);
  EXPECT_FALSE(ends_of(one));
}

}  // namespace
}  // namespace holdfast
