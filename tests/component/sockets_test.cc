#include "sys/sockets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "component/kernel_fixtures.h"

namespace holdfast {
namespace {

constexpr int kBacklog = 16;

Result<ListeningSocket> listen_on_text(const std::string& text) {
  Result<ListenAddress> address = parse_listen_address(text);
  if (!address) return std::move(address).error();
  return listen_on(*address, kBacklog);
}

ListeningSocket listener_on(const std::string& text) {
  Result<ListeningSocket> listener = listen_on_text(text);
  if (!listener) {
    ADD_FAILURE() << listener.error().message();
    std::abort();
  }
  return *std::move(listener);
}

std::uint16_t port_of(const ListeningSocket& listener) { return std::get<TcpAddress>(listener.bound).port; }

UniqueFd connect_to(int family, const void* name, std::size_t length) {
  UniqueFd fd(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (::connect(fd.get(), static_cast<const sockaddr*>(name), static_cast<socklen_t>(length)) != 0) return UniqueFd();
  return fd;
}
UniqueFd connect_v4(std::uint16_t port) {
  sockaddr_in name{};
  name.sin_family = AF_INET;
  name.sin_port = htons(port);
  name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connect_to(AF_INET, &name, sizeof name);
}
UniqueFd connect_v6(std::uint16_t port) {
  sockaddr_in6 name{};
  name.sin6_family = AF_INET6;
  name.sin6_port = htons(port);
  name.sin6_addr = in6addr_loopback;
  return connect_to(AF_INET6, &name, sizeof name);
}
UniqueFd connect_unix(const std::string& path) {
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  std::size_t length = sizeof name;
  if (path.front() == '@') {
    name.sun_path[0] = '\0';
    length = offsetof(sockaddr_un, sun_path) + path.size();
  }
  return connect_to(AF_UNIX, &name, length);
}

bool has_v6() { return listen_on_text("[::1]:0").has_value(); }

AcceptedConnection accept_one(BorrowedFd listener) {
  EXPECT_TRUE(wait_for(listener, POLLIN));
  auto answer = accept_connection(listener);
  if (!answer || !std::holds_alternative<AcceptedConnection>(*answer)) {
    ADD_FAILURE() << "no connection";
    std::abort();
  }
  return std::get<AcceptedConnection>(*std::move(answer));
}

AcceptStop stop_of(BorrowedFd listener) {
  auto answer = accept_connection(listener);
  if (!answer || !std::holds_alternative<AcceptStop>(*answer)) {
    ADD_FAILURE() << "expected no connection";
    std::abort();
  }
  return std::get<AcceptStop>(*answer);
}

TEST(Sockets, ListensOnOneIPv4AddressAndTellsThePort) {
  const ListeningSocket listener = listener_on("127.0.0.1:0");
  ASSERT_NE(port_of(listener), 0);
  EXPECT_EQ(stop_of(listener.fd), AcceptStop::Empty);
  const UniqueFd client = connect_v4(port_of(listener));
  ASSERT_TRUE(client);
  const AcceptedConnection connection = accept_one(listener.fd);
  EXPECT_EQ(connection.remote.family, Endpoint::Family::V4);
  EXPECT_EQ(connection.remote.address, IpAddress::v4(INADDR_LOOPBACK));
  EXPECT_EQ(connection.remote.port, local_endpoint(client).port);
  EXPECT_EQ(local_endpoint(connection.fd).port, port_of(listener));
  EXPECT_EQ(::fcntl(connection.fd.get(), F_GETFD), FD_CLOEXEC);
  EXPECT_NE(::fcntl(connection.fd.get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(stop_of(listener.fd), AcceptStop::Empty);
}

TEST(Sockets, ListensOnOneIPv6Address) {
  if (!has_v6()) GTEST_SKIP() << "this host has no IPv6";
  const ListeningSocket listener = listener_on("[::1]:0");
  const UniqueFd client = connect_v6(port_of(listener));
  ASSERT_TRUE(client);
  const AcceptedConnection connection = accept_one(listener.fd);
  EXPECT_EQ(connection.remote.family, Endpoint::Family::V6);
  EXPECT_EQ(connection.remote.address.text(), "::1");
  EXPECT_EQ(local_endpoint(connection.fd).address.text(), "::1");
}

TEST(Sockets, ADualStackListenerSeesAnIPv4ClientAsIPv4) {
  const ListeningSocket listener = listener_on(":0");
  const UniqueFd v4 = connect_v4(port_of(listener));
  ASSERT_TRUE(v4);
  const AcceptedConnection connection = accept_one(listener.fd);
  EXPECT_EQ(connection.remote.family, Endpoint::Family::V4);
  EXPECT_EQ(connection.remote.address, IpAddress::v4(INADDR_LOOPBACK));
  EXPECT_EQ(local_endpoint(connection.fd).family, Endpoint::Family::V4);
  if (!has_v6()) return;
  EXPECT_EQ(std::get<TcpAddress>(listener.bound).family, TcpAddress::Family::DualStack);
  const UniqueFd v6 = connect_v6(port_of(listener));
  ASSERT_TRUE(v6);
  EXPECT_EQ(accept_one(listener.fd).remote.family, Endpoint::Family::V6);
}

TEST(Sockets, AnIPv6ListenerLeavesTheIPv4PortToOthers) {
  if (!has_v6()) GTEST_SKIP() << "this host has no IPv6";
  const ListeningSocket v6 = listener_on("[::]:0");
  EXPECT_FALSE(connect_v4(port_of(v6)));
  EXPECT_TRUE(connect_v6(port_of(v6)));
}

TEST(Sockets, APortThatIsTakenIsRefusedInWords) {
  const ListeningSocket listener = listener_on("127.0.0.1:0");
  const std::string address = to_text(listener.bound);
  const Result<ListeningSocket> second = listen_on_text(address);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, std::errc::address_in_use);
  EXPECT_EQ(second.error().doing, "listen on " + address);
}

TEST(Sockets, APortWithConnectionsOfAnEarlierListenerIsFree) {
  ListeningSocket first = listener_on("127.0.0.1:0");
  const std::string address = to_text(first.bound);
  const UniqueFd client = connect_v4(port_of(first));
  {
    const AcceptedConnection connection = accept_one(first.fd);
    first.fd.reset();
  }  // closed by the server's side first: TIME_WAIT stays there
  EXPECT_TRUE(listen_on_text(address));
}

TEST(Sockets, AnAddressThatIsNotOursIsRefused) {
  const Result<ListeningSocket> listener = listen_on_text("192.0.2.1:0");
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().code, std::errc::address_not_available);
}

TEST(Sockets, UdpHasNothingToAccept) {
  const Result<ListeningSocket> listener = listen_on_text("udp://127.0.0.1:0");
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().code, std::errc::protocol_not_supported);
  EXPECT_THAT(listener.error().doing, testing::HasSubstr("UDP needs the steer plane"));
}

TEST(Sockets, WithoutFreeDescriptorsAcceptingSaysSoAndTheClientWaits) {
  const ListeningSocket listener = listener_on("127.0.0.1:0");
  const UniqueFd client = connect_v4(port_of(listener));
  ASSERT_TRUE(wait_for(listener.fd, POLLIN));
  {
    const FewDescriptors none(0);
    EXPECT_EQ(stop_of(listener.fd), AcceptStop::NoFds);
  }
  (void)accept_one(listener.fd);
}

TEST(Sockets, AListenerThatIsNoneIsAnError) {
  const Pipe pipe = make_pipe();
  const auto answer = accept_connection(pipe.read);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, std::errc::not_a_socket);
}

TEST(Sockets, ARefusedClientIsReset) {
  const ListeningSocket listener = listener_on("127.0.0.1:0");
  const UniqueFd client = connect_v4(port_of(listener));
  refuse_connection(accept_one(listener.fd).fd);
  ASSERT_TRUE(wait_for(client, POLLIN));
  char byte = 0;
  EXPECT_EQ(::read(client.get(), &byte, 1), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

// With TCP_DEFER_ACCEPT the handshake of a client ends with his first byte: until then it is under way.
void hold_handshakes_of(const ListeningSocket& listener) {
  const int seconds = 60;
  ASSERT_EQ(::setsockopt(listener.fd.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof seconds), 0);
}

TEST(Sockets, OneThatIsClosedToNewClientsConnectsThoseWhoHaveBegun) {
  for (const bool v6 : {false, true}) {
    if (v6 && !has_v6()) continue;
    const ListeningSocket listener = listener_on(v6 ? "[::1]:0" : "127.0.0.1:0");
    const auto connect = [&] { return v6 ? connect_v6(port_of(listener)) : connect_v4(port_of(listener)); };
    const UniqueFd waiting = connect();
    ASSERT_TRUE(wait_for(listener.fd, POLLIN));
    hold_handshakes_of(listener);
    const UniqueFd begun = connect();
    ASSERT_TRUE(waiting && begun);
    close_to_new_clients(listener.fd);
    EXPECT_FALSE(connect());
    EXPECT_EQ(errno, ECONNREFUSED);
    (void)accept_one(listener.fd);
    EXPECT_EQ(stop_of(listener.fd), AcceptStop::Empty);
    ASSERT_EQ(::write(begun.get(), "x", 1), 1);
    const AcceptedConnection last = accept_one(listener.fd);
    EXPECT_TRUE(wait_for(last.fd, POLLIN));
    char byte = 0;
    EXPECT_EQ(::read(last.fd.get(), &byte, 1), 1);
    EXPECT_EQ(::write(last.fd.get(), "y", 1), 1);
    EXPECT_TRUE(wait_for(begun, POLLIN));
    EXPECT_EQ(::read(begun.get(), &byte, 1), 1);
  }
}

TEST(Sockets, NewClientsOfOneThatIsClosedToThemComeToTheOneThatCoversIt) {
  const ListeningSocket narrow = listener_on("127.0.0.1:0");
  const std::string port = std::to_string(port_of(narrow));
  for (const char* const every : {"0.0.0.0:", ":"}) {
    const PortLetsIn let(narrow.fd);
    const Result<ListenAddress> address = parse_listen_address(every + port);
    ASSERT_TRUE(address);
    const Result<ListeningSocket> wide = listen_on(*address, 16, Sibling::Holds);
    ASSERT_TRUE(wide) << wide.error().message();
    if (std::string_view(every) == "0.0.0.0:") {
      const UniqueFd before = connect_v4(port_of(narrow));
      (void)accept_one(narrow.fd);
      close_to_new_clients(narrow.fd);
    }
    const UniqueFd after = connect_v4(port_of(narrow));
    (void)accept_one(wide->fd);
    EXPECT_EQ(stop_of(narrow.fd), AcceptStop::Empty);
  }
}

TEST(UnixListener, ListensOnAPathAndRemovesItAtTheEnd) {
  const TemporaryDirectory directory;
  const std::string path = directory / "a.sock";
  const ListeningSocket listener = listener_on("unix:" + path);
  ASSERT_TRUE(connect_unix(path));
  EXPECT_EQ(accept_one(listener.fd).remote.family, Endpoint::Family::Unix);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1);
  remove_unix_path(std::get<UnixAddress>(listener.bound), listener.fd);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(UnixListener, WhatWaitsWhenThePathIsRemovedCanStillBeAccepted) {
  const TemporaryDirectory directory;
  const std::string path = directory / "a.sock";
  const ListeningSocket listener = listener_on("unix:" + path);
  const UniqueFd client = connect_unix(path);
  remove_unix_path(std::get<UnixAddress>(listener.bound), listener.fd);
  EXPECT_TRUE(accept_one(listener.fd).fd);
}

TEST(UnixListener, RemovesNoPathThatSomebodyElseHasTaken) {
  const TemporaryDirectory directory;
  const std::string path = directory / "a.sock";
  const ListeningSocket first = listener_on("unix:" + path);
  std::filesystem::remove(path);
  const ListeningSocket second = listener_on("unix:" + path);
  remove_unix_path(std::get<UnixAddress>(first.bound), first.fd);
  EXPECT_TRUE(connect_unix(path));
}

struct stat file_at(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::lstat(path.c_str(), &status), 0);
  return status;
}

// While it lives, new files have these permission bits taken away.
class Umask {
 public:
  explicit Umask(mode_t mask) : before_(::umask(mask)) {}
  ~Umask() { ::umask(before_); }
  Umask(const Umask&) = delete;
  Umask& operator=(const Umask&) = delete;

 private:
  mode_t before_;
};

TEST(UnixListener, TheFileHasTheModeThatWasChosenWhateverTheUmask) {
  const TemporaryDirectory directory;
  for (const mode_t mask : {0U, 022U, 0777U}) {
    const Umask umask(mask);
    const std::string path = directory / ("a" + std::to_string(mask));
    const ListeningSocket listener = listener_on("unix:" + path + ",mode=0660");
    EXPECT_EQ(file_at(path).st_mode & 07777, 0660U) << "umask " << mask;
    EXPECT_TRUE(connect_unix(path));
    EXPECT_EQ(to_text(listener.bound), "unix:" + path);
  }
}

TEST(UnixListener, WithoutAModeTheUmaskDecides) {
  const TemporaryDirectory directory;
  const Umask umask(027);
  const ListeningSocket listener = listener_on("unix:" + (directory / "a"));
  EXPECT_EQ(file_at(directory / "a").st_mode & 07777, 0750U);
}

TEST(UnixListener, AStaleSocketIsReplacedByOneWithTheModeThatWasChosen) {
  const TemporaryDirectory directory;
  const std::string path = directory / "a";
  { const ListeningSocket crashed = listener_on("unix:" + path + ",mode=0777"); }
  const ListeningSocket listener = listener_on("unix:" + path + ",mode=0600");
  EXPECT_EQ(file_at(path).st_mode & 07777, 0600U);
}

TEST(UnixListener, TheFileIsGivenToTheUserAndTheGroupThatWereChosen) {
  const TemporaryDirectory directory;
  const std::string ours = std::to_string(::getegid());
  const ListeningSocket own = listener_on("unix:" + (directory / "own") + ",group=" + ours);
  EXPECT_EQ(file_at(directory / "own").st_gid, ::getegid());
  if (::geteuid() != 0) GTEST_SKIP() << "only root gives files to others";
  const ListeningSocket by_name = listener_on("unix:" + (directory / "name") + ",user=nobody,group=nogroup,mode=0600");
  EXPECT_EQ(file_at(directory / "name").st_uid, 65534U);
  EXPECT_EQ(file_at(directory / "name").st_gid, 65534U);
  EXPECT_EQ(file_at(directory / "name").st_mode & 07777, 0600U);
  const ListeningSocket by_number = listener_on("unix:" + (directory / "number") + ",user=4711");
  EXPECT_EQ(file_at(directory / "number").st_uid, 4711U);
  EXPECT_EQ(file_at(directory / "number").st_gid, ::getegid());
}

TEST(UnixListener, AnOwnerThatCannotBeIsToldAndNoFileIsLeft) {
  const TemporaryDirectory directory;
  const std::string path = directory / "a";
  const Result<ListeningSocket> nobody = listen_on_text("unix:" + path + ",user=no-such-user");
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().message(), "listen on unix:" + path + ": there is no user 'no-such-user'");
  const Result<ListeningSocket> no_group = listen_on_text("unix:" + path + ",group=no-such-group");
  ASSERT_FALSE(no_group);
  EXPECT_THAT(no_group.error().message(), testing::HasSubstr("there is no group 'no-such-group'"));
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
  if (::geteuid() == 0) GTEST_SKIP() << "root may give files to everybody";
  const Result<ListeningSocket> forbidden = listen_on_text("unix:" + path + ",user=root");
  ASSERT_FALSE(forbidden);
  EXPECT_EQ(forbidden.error().code, std::errc::operation_not_permitted);
  EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
}

TEST(UnixListener, RefusesAPathWhereAServerAnswers) {
  const TemporaryDirectory directory;
  const std::string text = "unix:" + (directory / "a.sock");
  const ListeningSocket first = listener_on(text);
  const Result<ListeningSocket> second = listen_on_text(text);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, std::errc::address_in_use);
  EXPECT_EQ(second.error().doing, "listen on " + text);
  EXPECT_TRUE(connect_unix(directory / "a.sock"));
}

TEST(UnixListener, RefusesAPathWhereABusyServerHasAFullBacklog) {
  const TemporaryDirectory directory;
  const std::string path = directory / "a.sock";
  const Result<ListeningSocket> first = listen_on(UnixAddress{path}, 0);
  ASSERT_TRUE(first);
  const UniqueFd waiting = connect_unix(path);
  const Result<ListeningSocket> second = listen_on(UnixAddress{path}, kBacklog);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, std::errc::address_in_use);
}

TEST(UnixListener, ReplacesAStaleSocket) {
  const TemporaryDirectory directory;
  const std::string path = directory / "a.sock";
  { const ListeningSocket crashed = listener_on("unix:" + path); }
  ASSERT_TRUE(std::filesystem::is_socket(path));
  ASSERT_FALSE(connect_unix(path));
  const ListeningSocket listener = listener_on("unix:" + path);
  EXPECT_TRUE(connect_unix(path));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1);
}

TEST(UnixListener, NeverTouchesAFileThatIsNotASocket) {
  const TemporaryDirectory directory;
  const std::string path = directory / "precious";
  std::ofstream(path) << "data";
  const Result<ListeningSocket> listener = listen_on_text("unix:" + path);
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().code, std::errc::file_exists);
  EXPECT_THAT(listener.error().doing, testing::StartsWith("listen on unix:" + path));
  EXPECT_EQ(std::filesystem::file_size(path), 4U);
}

TEST(UnixListener, SaysThatTheDirectoryIsMissing) {
  const TemporaryDirectory directory;
  const Result<ListeningSocket> listener = listen_on_text("unix:" + (directory / "nowhere/a.sock"));
  ASSERT_FALSE(listener);
  EXPECT_EQ(listener.error().code, std::errc::no_such_file_or_directory);
}

TEST(UnixListener, TakesTheLongestPathAndSaysWhatIsTooLong) {
  const TemporaryDirectory directory;
  const std::string longest = directory / std::string(107 - directory.path().size() - 1, 'x');
  const ListeningSocket listener = listener_on("unix:" + longest);
  EXPECT_TRUE(connect_unix(longest));
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(directory.path()), {}), 1);

  const Result<ListeningSocket> longer = listen_on(UnixAddress{longest + "x"}, kBacklog);
  ASSERT_FALSE(longer);
  EXPECT_EQ(longer.error().code, std::errc::filename_too_long);
  EXPECT_THAT(longer.error().doing, testing::HasSubstr("at most 107 bytes"));
}

TEST(UnixListener, ListensInTheAbstractNameSpace) {
  const std::string name = "@holdfast-test-" + std::to_string(::getpid());
  const ListeningSocket listener = listener_on("unix:" + name);
  EXPECT_TRUE(connect_unix(name));
  const Result<ListeningSocket> second = listen_on_text("unix:" + name);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, std::errc::address_in_use);
}

TEST(UnixListener, AFailureLeavesNoDescriptorBehind) {
  const TemporaryDirectory directory;
  const ListeningSocket first = listener_on("unix:" + (directory / "a.sock"));
  const std::uint64_t before = open_file_count();
  EXPECT_FALSE(listen_on_text("unix:" + (directory / "a.sock")));
  EXPECT_FALSE(listen_on_text("unix:" + (directory / "nowhere/a.sock")));
  EXPECT_FALSE(listen_on_text("192.0.2.1:0"));
  EXPECT_EQ(open_file_count(), before);
}

TEST(OpenFiles, AreCounted) {
  const std::uint64_t before = open_file_count();
  const Pipe pipe = make_pipe();
  EXPECT_EQ(open_file_count(), before + 2);
}

TEST(OpenFiles, TheLimitIsRaisedToTheHardOneAndTheOldOneRemembered) {
  rlimit before{};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const std::optional<std::uint64_t> remembered = original_open_file_limit();
  const Result<std::uint64_t> now = raise_open_file_limit();
  ASSERT_TRUE(now);
  EXPECT_EQ(*now, before.rlim_max);
  EXPECT_EQ(original_open_file_limit(), remembered.value_or(before.rlim_cur));
  ASSERT_TRUE(raise_open_file_limit());  // a second time there is nothing to remember
  EXPECT_EQ(original_open_file_limit(), remembered.value_or(before.rlim_cur));
  ::setrlimit(RLIMIT_NOFILE, &before);
}

}  // namespace
}  // namespace holdfast
