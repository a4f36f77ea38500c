#include "worker/capture.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <iostream>
#include <string>
#include <vector>

#include "component/captured_worker.h"
#include "sys/bind_filter.h"
#include "sys/fd_passing.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

// What every program of these tests begins with. argv[1] is the port.
constexpr const char* kPrelude = R"(
import ctypes, errno, fcntl, os, signal, socket, struct, sys, threading
from socket import *
port = int(sys.argv[1])
host = '127.0.0.1'
def cookie(s): return struct.unpack('Q', s.getsockopt(SOL_SOCKET, 57, 8))[0]
def bound(address, family=AF_INET, type=SOCK_STREAM):
    s = socket(family, type)
    s.bind(address)
    return s
def failure(act):
    try: act()
    except OSError as e: return errno.errorcode[e.errno]
    return 'OK'
)";

SpawnPlan python(const TestListeners& listeners, const std::string& program) {
  return plan_of({"python3", "-c", kPrelude + program, listeners.port_text()});
}

std::uint64_t cookie_of(BorrowedFd socket) { return socket_facts(socket)->cookie; }

std::string cookie_text(const TestListeners& listeners, std::size_t listener = 0,
                        SocketDomain domain = SocketDomain::Inet) {
  return std::to_string(cookie_of(listeners.socket(listener, domain)));
}

int backlog_of(BorrowedFd listener) {
  tcp_info info{};
  socklen_t length = sizeof info;
  EXPECT_EQ(::getsockopt(listener.get(), IPPROTO_TCP, TCP_INFO, &info, &length), 0);
  return static_cast<int>(info.tcpi_sacked);
}

UniqueFd client_of(const TestListeners& listeners) {
  UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(listeners.port());
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  return client;
}

class CaptureTest : public testing::Test {
 protected:
  Loop loop_;
  UniqueFd victim_;
};

TEST_F(CaptureTest, ABindOnOurAddressGetsOurSocket) {
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
s = bound((host, port))
s.listen(5)
print(cookie(s), s.getsockname())
)"));
  EXPECT_EQ(worker.output(), cookie_text(listeners) + " ('127.0.0.1', " + listeners.port_text() + ")\n");
  EXPECT_THAT(worker.captured, ElementsAre(0));
  EXPECT_THAT(worker.listened, ElementsAre(0));
  EXPECT_THAT(worker.others, IsEmpty());
  EXPECT_THAT(worker.failures, IsEmpty());
}

TEST_F(CaptureTest, ListenLeavesOurBacklog) {
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
s = bound((host, port))
s.listen(1)
s.dup().listen(4096)
if os.fork() == 0: s.listen(2); os._exit(0)
os.wait()
)"));
  EXPECT_EQ(worker.output(), "");
  EXPECT_THAT(worker.listened, ElementsAre(0, 0, 0));
  EXPECT_EQ(backlog_of(listeners.socket(0, SocketDomain::Inet)), kTestBacklog);
}

TEST_F(CaptureTest, ASocketThatIsNotOursListensAsItWishes) {
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
ours = bound((host, port))
other = bound((host, 0))
other.listen(7)
print(other.getsockopt(IPPROTO_TCP, TCP_INFO, 104)[28:32].hex())
)"));
  EXPECT_EQ(worker.output(), "07000000\n");  // tcpi_sacked
  EXPECT_THAT(worker.listened, IsEmpty());
}

TEST_F(CaptureTest, OtherAddressesAreLeftAlone) {
  if (!has_v6()) GTEST_SKIP() << "this host has no IPv6";
  TestListeners listeners({"127.0.0.1"});
  const TemporaryDirectory directory;
  SpawnPlan plan = python(listeners, R"(
mine = [bound(('127.0.0.2', port)), bound((host, 0)), bound((host, port), type=SOCK_DGRAM),
        bound(('::1', port), AF_INET6), bound('web.sock', AF_UNIX), bound('\0holdfast-test-%d' % os.getpid(), AF_UNIX),
        bound((host, 0), type=SOCK_DGRAM)]
for s in mine[0:3]: print(s.getsockname()[0], s.getsockname()[1] == port, cookie(s))
print(os.getpid())
)");
  plan.working_directory = directory.path();
  CapturedWorker worker(loop_, listeners, std::move(plan));
  const std::vector<std::string> lines = worker.lines();
  ASSERT_EQ(lines.size(), 4U) << testing::PrintToString(lines);
  EXPECT_THAT(lines[0], StartsWith("127.0.0.2 True"));
  EXPECT_THAT(lines[1], StartsWith("127.0.0.1 False"));
  EXPECT_THAT(lines[2], StartsWith("127.0.0.1 True"));
  EXPECT_THAT(lines, Each(testing::Not(HasSubstr(" " + cookie_text(listeners)))));
  EXPECT_THAT(worker.captured, IsEmpty());
  const std::string port = listeners.port_text();
  EXPECT_THAT(worker.others, ElementsAre("127.0.0.2:" + port, "127.0.0.1:0", "udp://127.0.0.1:" + port, "[::1]:" + port,
                                         "unix:web.sock", "unix:@holdfast-test-" + lines[3]));
}

TEST_F(CaptureTest, ThreadsAndDescendantsAreCapturedToo) {
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
t = threading.Thread(target=lambda: print(cookie(bound((host, port)))))
t.start(); t.join()
if os.fork() == 0:
    if os.fork() == 0: print(cookie(bound((host, port)))); os._exit(0)
    os.wait(); os._exit(0)
os.wait()
if len(sys.argv) == 2: os.execvp('sh', ['sh', '-c', '"$0" "$@"', 'python3', *sys.orig_argv[1:], 'again'])
)"));
  const std::string cookie = cookie_text(listeners);
  EXPECT_THAT(worker.lines(), ElementsAre(cookie, cookie, cookie, cookie));
  EXPECT_THAT(worker.captured, ElementsAre(0, 0, 0, 0));
}

TEST_F(CaptureTest, AThreadOutlivesTheFirstOne) {
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
main = threading.get_native_id()
def late():
    while open('/proc/%d/status' % main).read().split('State:\t')[1][0] != 'Z': pass
    print(failure(lambda: bound((host, port))), flush=True)
    os._exit(0)
threading.Thread(target=late).start()
ctypes.CDLL(None).syscall(60, 0)  # exit, of this thread alone
)"));
#ifdef __x86_64__
  const Result<UniqueFd> pidfd_of_threads(UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, ::gettid(), O_EXCL))));
  if (!*pidfd_of_threads) GTEST_SKIP() << "the kernel has no pidfd of a thread (Linux 6.9)";
  EXPECT_EQ(worker.output(), "OK\n");
  EXPECT_THAT(worker.captured, ElementsAre(0));
#else
  GTEST_SKIP() << "the number of exit(2) is another here";
#endif
}

TEST_F(CaptureTest, EveryBindOfAnAddressGetsTheSameSocket) {
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners,
                        python(listeners, "print(cookie(bound((host, port))) == cookie(bound((host, port))))"));
  EXPECT_EQ(worker.output(), "True\n");
  EXPECT_THAT(worker.captured, ElementsAre(0, 0));
}

TEST_F(CaptureTest, ASecondBindOfASocketFailsAsItDoesElsewhere) {
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
s = bound((host, port))
print(failure(lambda: s.bind((host, 0))), failure(lambda: s.bind((host, port))))
other = bound((host, 0))
print(failure(lambda: other.bind((host, port))))
)"));
  EXPECT_EQ(worker.output(), "EINVAL EINVAL\nEINVAL\n");
  EXPECT_THAT(worker.captured, ElementsAre(0));
}

TEST_F(CaptureTest, WhatTheKernelRefusesItStillRefuses) {
  if (!has_v6()) GTEST_SKIP() << "this host has no IPv6";
  TestListeners listeners({""});
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
libc = ctypes.CDLL(None, use_errno=True)
def raw(fd, address, length): return errno.errorcode[ctypes.get_errno()] if libc.bind(fd, address, length) else 'OK'
s = socket(AF_INET, SOCK_STREAM)
sin = struct.pack('=HH4s8x', AF_INET, htons(port), inet_aton(host))
unspec = struct.pack('=HH4s8x', AF_UNSPEC, htons(port), inet_aton(host))
sin6 = struct.pack('=HHI16sI', AF_INET6, htons(port), 0, inet_pton(AF_INET6, '::ffff:127.0.0.1'), 0)
only = socket(AF_INET6, SOCK_STREAM)
only.setsockopt(IPPROTO_IPV6, IPV6_V6ONLY, 1)
print(raw(s.fileno(), None, 16), raw(s.fileno(), sin, 15), raw(s.fileno(), sin, -1), raw(s.fileno(), sin, 1000),
      raw(99, sin, 16), raw(0, sin, 16), raw(s.fileno(), sin6, 28), raw(only.fileno(), sin6, 28),
      raw(s.fileno(), unspec, 16))
)"));
  EXPECT_EQ(worker.output(), "EFAULT EINVAL EINVAL EINVAL EBADF ENOTSOCK EAFNOSUPPORT EINVAL EAFNOSUPPORT\n");
  EXPECT_THAT(worker.captured, IsEmpty());
  EXPECT_THAT(worker.failures, IsEmpty());
}

TEST_F(CaptureTest, TheSocketIsBlockingOrNotAsTheWorkersWas) {
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
s = socket()
s.setblocking(False)
s.bind((host, port))
print(failure(s.accept))
blocking = bound((host, port))
threading.Thread(target=lambda: print('accepted', blocking.accept()[0].recv(9))).start()
)"));
  EXPECT_EQ(worker.line(), "EAGAIN");
  ASSERT_TRUE(run_until(loop_, [&] { return worker.captured.size() == 2; }));
  EXPECT_EQ(::fcntl(listeners.socket(0, SocketDomain::Inet).get(), F_GETFL) & O_NONBLOCK, 0);
  const UniqueFd client = client_of(listeners);
  ASSERT_EQ(::send(client.get(), "hello", 5, 0), 5);
  EXPECT_EQ(worker.output(), "accepted b'hello'\n");
}

TEST_F(CaptureTest, CloseOnExecIsKept) {
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
for inheritable in False, True:
    s = socket()
    s.set_inheritable(inheritable)
    s.bind((host, port))
    print(s.get_inheritable())
)"));
  EXPECT_EQ(worker.output(), "False\nTrue\n");
}

TEST_F(CaptureTest, WhatWasSetOnTheWorkersSocketComesAlong) {
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
def show(s):
    print(*(s.getsockopt(*o) for o in options), s.getsockopt(SOL_SOCKET, SO_LINGER))  # whether; the time is the second word
options = [(SOL_SOCKET, SO_KEEPALIVE), (SOL_SOCKET, SO_RCVBUF), (SOL_SOCKET, 72), (IPPROTO_TCP, TCP_NODELAY),
           (IPPROTO_TCP, TCP_KEEPIDLE), (IPPROTO_TCP, TCP_DEFER_ACCEPT), (IPPROTO_IP, IP_TOS)]
fresh = bound((host, port))
show(fresh)
s = socket()
for option, value in zip(options, (1, 100000, None, 1, 77, 5, 16)):
    if value: s.setsockopt(*option, value)
s.setsockopt(SOL_SOCKET, SO_LINGER, struct.pack('ii', 1, 9))
show(s)
s.bind((host, port))
show(s)
bound((host, port))
show(s)
)"));
  const std::vector<std::string> lines = worker.lines();
  ASSERT_EQ(lines.size(), 4U) << testing::PrintToString(lines);
  EXPECT_THAT(lines[1], StartsWith("1 200000 2 1 77 "));
  EXPECT_EQ(lines[2], lines[1]);
  EXPECT_EQ(lines[3], lines[0]);  // the next occupant of the slot starts afresh
}

TEST_F(CaptureTest, ASocketIsExchangedForOneOfItsDomain) {
  if (!has_v6()) GTEST_SKIP() << "this host has no IPv6";
  TestListeners listeners({""});
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
four = bound(('0.0.0.0', port))
six = bound(('::', port), AF_INET6)
print(cookie(four), cookie(six))
print(four.getsockname()[0], six.getsockname()[0], flush=True)
print(four.accept()[1][0])
)"));
  ASSERT_TRUE(run_until(loop_, [&] { return worker.captured.size() == 2; }));
  const UniqueFd client = client_of(listeners);  // by IPv4: the socket of that family is the nearer one
  EXPECT_THAT(worker.lines(), ElementsAre(cookie_text(listeners, 0, SocketDomain::Inet) + " " +
                                              cookie_text(listeners, 0, SocketDomain::Inet6),
                                          "0.0.0.0 ::", "127.0.0.1"));
  EXPECT_THAT(worker.captured, ElementsAre(0, 0));
}

TEST_F(CaptureTest, AnIpv6SocketCanStandForAnIpv4Listener) {
  if (!has_v6()) GTEST_SKIP() << "this host has no IPv6";
  for (const char* const host : {"127.0.0.1", "0.0.0.0"}) {
    TestListeners listeners({host});
    CapturedWorker worker(loop_, listeners, python(listeners, R"(
s = bound(('::', port), AF_INET6)
print(s.getsockname()[0], flush=True)
print(s.accept()[1][0])
)"));
    ASSERT_TRUE(run_until(loop_, [&] { return worker.captured.size() == 1; }));
    // A group of the owner has its socket of IPv4 too: without one that listens, as where it is made for this worker alone.
    ASSERT_EQ(::shutdown(listeners.socket(0, SocketDomain::Inet).get(), SHUT_RDWR), 0);
    const UniqueFd client = client_of(listeners);
    EXPECT_THAT(worker.lines(), ElementsAre(std::string("::ffff:") + host, "::ffff:127.0.0.1"));
  }
}

TEST_F(CaptureTest, EachBindGetsTheListenerThatItMeans) {
  if (!has_v6()) GTEST_SKIP() << "this host has no IPv6";
  TestListeners listeners({"127.0.0.1", "127.0.0.2", "[::1]"});
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
print(cookie(bound(('127.0.0.2', port))), cookie(bound(('::1', port), AF_INET6)), cookie(bound((host, port))))
)"));
  EXPECT_EQ(worker.output(), cookie_text(listeners, 1) + " " + cookie_text(listeners, 2, SocketDomain::Inet6) + " " +
                                 cookie_text(listeners, 0) + "\n");
  EXPECT_THAT(worker.captured, ElementsAre(1, 2, 0));
}

TEST_F(CaptureTest, DatagramsArriveToo) {
  TestListeners listeners({"127.0.0.1"}, Transport::Datagram);
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
s = bound((host, port), type=SOCK_DGRAM)
client = socket(AF_INET, SOCK_DGRAM)
client.sendto(b'question', (host, port))
data, sender = s.recvfrom(100)
s.sendto(b'answer', sender)
print(data, client.recv(100), failure(lambda: bound((host, port))))
)"));
  EXPECT_EQ(worker.output(), "b'question' b'answer' OK\n");
  EXPECT_THAT(worker.captured, ElementsAre(0));  // the same port of TCP is another
  EXPECT_THAT(worker.others, ElementsAre("127.0.0.1:" + listeners.port_text()));
}

TEST_F(CaptureTest, MultipathTcpCountsAsTcp) {
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
try: s = socket(AF_INET, SOCK_STREAM, 262)
except OSError: print('none'); sys.exit()
s.bind((host, port))
s.listen()
print(cookie(s))
)"));
  const std::string output = worker.output();
  if (output == "none\n") GTEST_SKIP() << "the kernel has no MPTCP";
  EXPECT_EQ(output, cookie_text(listeners) + "\n");
}

TEST_F(CaptureTest, AnOwnerWithoutASocketMakesTheBindFail) {
  const TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners.managed(), python(listeners, R"(
s = socket()
print(failure(lambda: s.bind((host, port))), s.getsockname())
)"),
                        [](std::size_t, SocketDomain) -> Result<BorrowedFd> {
                          return Error{std::make_error_code(std::errc::too_many_files_open), "make a listener"};
                        });
  EXPECT_EQ(worker.output(), "EMFILE ('0.0.0.0', 0)\n");
  ASSERT_EQ(worker.failures.size(), 1U);
  EXPECT_EQ(worker.failures[0].message(), "make a listener: Too many open files");
  EXPECT_THAT(worker.captured, IsEmpty());
}

TEST_F(CaptureTest, ASocketThatWasGivenOtherwiseIsKnown) {
  const TestListeners listeners({"127.0.0.1"});
  SpawnPlan plan = python(listeners, R"(
s = socket(fileno=3)
s.listen(1)
print(os.environ['LISTEN_FDNAMES'])
)");
  const BorrowedFd socket = listeners.socket(0, SocketDomain::Inet);
  plan.listen_fds = {{socket, "web"}};
  CapturedWorker worker(loop_, listeners.managed(), std::move(plan), nullptr);
  ASSERT_TRUE(worker.capture().add_socket(0, socket));
  EXPECT_EQ(worker.output(), "web\n");
  EXPECT_THAT(worker.listened, ElementsAre(0));
  EXPECT_EQ(backlog_of(socket), kTestBacklog);
}

TEST_F(CaptureTest, AnotherNetworkIsNotOurs) {
  TestListeners listeners({"127.0.0.1"});
  SpawnPlan plan = python(listeners, R"(
if os.environ['USER_NS'] and ctypes.CDLL(None).unshare(0x10000000): print('none'); sys.exit()
if ctypes.CDLL(None).unshare(0x40000000): print('none'); sys.exit()
print(cookie(bound(('0.0.0.0', port))))
)");
  plan.environment.emplace_back("USER_NS", ::geteuid() == 0 ? "" : "yes");
  CapturedWorker worker(loop_, listeners, std::move(plan));
  const std::string output = worker.output();
  if (output == "none\n") GTEST_SKIP() << "this user may not have a network namespace";
  EXPECT_NE(output, cookie_text(listeners) + "\n");
  EXPECT_THAT(output, testing::MatchesRegex("[0-9]+\n"));
  EXPECT_THAT(worker.captured, IsEmpty());
}

// Signals that come while a bind waits must not show: a program would not expect it to be interrupted.
constexpr const char* kBindInAStorm = R"(
signal.signal(signal.SIGALRM, lambda *_: None)
signal.siginterrupt(signal.SIGALRM, False)
signal.setitimer(signal.ITIMER_REAL, 0.0003, 0.0003)
seen = {failure(lambda: bound((host, port)).listen()) for _ in range(500)}
signal.setitimer(signal.ITIMER_REAL, 0)
print(seen)
)";

TEST_F(CaptureTest, SignalsDoNotDisturbABind) {
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners, python(listeners, kBindInAStorm));
  EXPECT_EQ(worker.output(), "{'OK'}\n");
  EXPECT_EQ(worker.captured.size(), 500U);
}

// A worker whose binds a signal may interrupt even after we took them up, as before Linux 5.19.
CapturedWorker::Started start_interruptible(const SpawnPlan& plan) {
  Pipe output = make_pipe();
  ChannelPair channel = *make_channel(0);
  std::vector<sock_filter> instructions = *make_bind_filter();
  const sock_fprog filter{static_cast<unsigned short>(instructions.size()), instructions.data()};
  std::vector<char*> arguments;
  for (const std::string& argument : plan.command) arguments.push_back(const_cast<char*>(argument.c_str()));
  arguments.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setpgid(0, 0);
    ::dup2(output.write.get(), STDOUT_FILENO);
    ::dup2(output.write.get(), STDERR_FILENO);
    (void)::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const auto fd =
        static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter));
    const std::byte byte{};
    if (send_with_fds(channel.worker_end, std::span(&byte, 1), std::span(&fd, 1))) {
      ::execvp(arguments.front(), arguments.data());
    }
    ::_exit(127);
  }
  EXPECT_TRUE(wait_for(channel.supervisor_end, POLLIN));
  std::byte byte{};
  Result<Received> received = receive_with_fds(channel.supervisor_end, std::span(&byte, 1));
  Child child{pid, UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))), std::move(received->fds.at(0))};
  return {std::move(child), std::move(output.read)};
}

TEST_F(CaptureTest, SignalsDoNotDisturbABindOnAnOlderKernel) {
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners.managed(), start_interruptible(python(listeners, kBindInAStorm)),
                        [&](std::size_t listener, SocketDomain domain) { return listeners.resolve(listener, domain); });
  EXPECT_EQ(worker.output(), "{'OK'}\n");
  EXPECT_GE(worker.captured.size(), 500U);
  EXPECT_THAT(worker.failures, IsEmpty());
}

TEST_F(CaptureTest, AWorkerThatDiesInABindIsForgotten) {
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
if os.fork() == 0: bound((host, port)); os._exit(0)
print(os.wait()[1], failure(lambda: bound((host, port))))
)"));
  // Killed while its bind is being answered.
  bool killed = false;
  CapturedWorker victim(loop_, listeners.managed(), python(listeners, "bound((host, port))"),
                        [&](std::size_t listener, SocketDomain domain) {
                          if (!std::exchange(killed, true)) {
                            signal_process(victim_, SIGKILL);
                            EXPECT_TRUE(wait_for(victim_, POLLIN));
                          }
                          return listeners.resolve(listener, domain);
                        });
  victim_ = UniqueFd(::fcntl(victim.child().pidfd.get(), F_DUPFD_CLOEXEC, 0));
  EXPECT_EQ(victim.output(), "EXIT killed by signal 9 (SIGKILL)");
  EXPECT_TRUE(killed);
  EXPECT_THAT(victim.captured, IsEmpty());
  EXPECT_THAT(victim.failures, IsEmpty());
  EXPECT_EQ(worker.output(), "0 OK\n");
}

TEST_F(CaptureTest, OnceNobodyIsLeftItCostsNothing) {
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners, python(listeners, "bound((host, port))"));
  EXPECT_EQ(worker.output(), "");
  run_for(loop_, 20ms);
  EXPECT_FALSE(spins(loop_)) << "the loop spins";
}

TEST_F(CaptureTest, WhoIsLeftBehindCannotBind) {
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
bound((host, port))
print('up', flush=True)
while (last := failure(lambda: bound((host, port)))) == 'OK': pass
print(last)
)"));
  EXPECT_EQ(worker.line(), "up");
  worker.stop_capturing();
  EXPECT_EQ(worker.output(), "ENOSYS\n");
}

TEST_F(CaptureTest, AProgramThatWeMayNotLookAtIsNotCapturedAndSaidSo) {
  if (::geteuid() == 0) GTEST_SKIP() << "root may look at every process";
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners, python(listeners, R"(
ctypes.CDLL(None).prctl(4, 0)  # PR_SET_DUMPABLE
print(failure(lambda: bound((host, port))))
)"));
  EXPECT_EQ(worker.output(), "EADDRINUSE\n");
  ASSERT_FALSE(worker.failures.empty());
  EXPECT_EQ(worker.failures[0].code, std::errc::operation_not_permitted);
}

// What a program of 32 bits would call, from the test's own binary: run as the worker of the next test.
TEST(Capture32Bit, DISABLED_TriesToGoAround) {
#ifdef __x86_64__
  constexpr long kX32 = 0x40000000;
  const auto call_of_32_bits = [](long number, long first) {
    long answer = 0;
    asm volatile("int $0x80"
                 : "=a"(answer)
                 : "a"(number), "b"(first), "c"(0), "d"(0)
                 : "memory", "r8", "r9", "r10", "r11");
    return answer;
  };
  const auto call_of_x32 = [](long number) { return ::syscall(number | kX32, 0, 0, 0) == 0 ? 0 : -errno; };
  std::cout << "answers " << call_of_32_bits(361, 0) << ' ' << call_of_32_bits(363, 0) << ' ' << call_of_32_bits(102, 2)
            << ' ' << call_of_32_bits(102, 4) << ' ' << call_of_x32(SYS_bind) << ' ' << call_of_x32(SYS_listen)
            << " but " << (call_of_32_bits(20, 0) == ::getpid()) << '\n';
#endif
}

TEST_F(CaptureTest, ForeignCallsCannotGoAround) {
#ifndef __x86_64__
  GTEST_SKIP() << "written for x86-64";
#endif
  TestListeners listeners({"127.0.0.1"});
  CapturedWorker worker(loop_, listeners,
                        plan_of({"/proc/" + std::to_string(::getpid()) + "/exe", "--gtest_also_run_disabled_tests",
                                 "--gtest_filter=Capture32Bit.DISABLED_TriesToGoAround"}));
  const std::string output = worker.output();
  if (output.find("SIGSEGV") != std::string::npos) GTEST_SKIP() << "the kernel runs no program of 32 bits";
  EXPECT_THAT(output, HasSubstr("answers -1 -1 -1 -1 -1 -1 but 1"));  // -1 is EPERM; getpid of 32 bits still works
}

}  // namespace
}  // namespace holdfast
