#include "sys/own_listeners.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>

#include "support/http_client.h"
#include "sys/sockets.h"

namespace holdfast {
namespace {

using testing::Contains;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::Not;

std::vector<std::string> listeners_of(pid_t pid) {
  std::vector<std::string> texts;
  for (const TcpAddress& address : own_listeners(pid)) texts.push_back(to_text(ListenAddress(address)));
  return texts;
}

TEST(OwnListeners, AreThoseOfTheProcess) {
  const Result<ListeningSocket> v4 = listen_on(*parse_listen_address("127.0.0.1:0"), 8);
  ASSERT_TRUE(v4);
  EXPECT_THAT(listeners_of(::getpid()), Contains(to_text(v4->bound)));
  EXPECT_THAT(listeners_of(::getppid()), Not(Contains(to_text(v4->bound))));
}

TEST(OwnListeners, AreFoundAmongConnections) {
  const Result<ListeningSocket> first = listen_on(*parse_listen_address("127.0.0.1:0"), 8);
  ASSERT_TRUE(first);
  std::vector<test::HttpClient> clients;
  for (int i = 0; i < 5; i++) clients.emplace_back(test::endpoint(to_text(first->bound)));
  const Result<ListeningSocket> second = listen_on(*parse_listen_address("127.0.0.1:0"), 8);
  ASSERT_TRUE(second);
  EXPECT_THAT(listeners_of(::getpid()), IsSupersetOf({to_text(first->bound), to_text(second->bound)}));
}

TEST(OwnListeners, OfIpV6Too) {
  const Result<ListeningSocket> v6 = listen_on(*parse_listen_address("[::1]:0"), 8);
  if (!v6) GTEST_SKIP() << v6.error().message();
  EXPECT_THAT(listeners_of(::getpid()), Contains(to_text(v6->bound)));
}

TEST(OwnListeners, ThereAreNoneOfNobody) {
  EXPECT_THAT(listeners_of(-1), IsEmpty());
  std::string text;
  {
    const Result<ListeningSocket> closed = listen_on(*parse_listen_address("127.0.0.1:0"), 8);
    ASSERT_TRUE(closed);
    text = to_text(closed->bound);
  }
  EXPECT_THAT(listeners_of(::getpid()), Not(Contains(text)));
}

}  // namespace
}  // namespace holdfast
