// The whoami example as a program: what a real worker does with real clients, under a fake supervisor and by itself.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <holdfast/worker.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "support/eventually.h"
#include "support/fake_supervisor.h"
#include "test_paths.h"

extern char** environ;

namespace holdfast::test {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::uint64_t monotonic_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

// A worker program on a fake supervisor's channel; killed if it outlives the test.
class WorkerProcess {
 public:
  WorkerProcess(FakeSupervisor& supervisor, std::vector<std::string> command) {
    supervisor.offer();
    std::vector<char*> arguments;
    for (std::string& word : command) arguments.push_back(word.data());
    arguments.push_back(nullptr);
    // The descriptors that `offer` made are without close-on-exec.
    EXPECT_EQ(::posix_spawnp(&pid_, arguments[0], nullptr, nullptr, arguments.data(), environ), 0) << command[0];
    supervisor.close_offered();
  }
  WorkerProcess(const WorkerProcess&) = delete;
  WorkerProcess& operator=(const WorkerProcess&) = delete;
  ~WorkerProcess() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      (void)wait();
    }
  }
  [[nodiscard]] pid_t pid() const { return pid_; }
  // The status of waitpid. One that does not end is killed, and a failure.
  int wait() {
    int status = -1;
    if (!eventually([&] { return ::waitpid(pid_, &status, WNOHANG) == pid_; })) {
      ADD_FAILURE() << "the worker does not end";
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, &status, 0);
    }
    pid_ = -1;
    return status;
  }
  void stop() const {
    ::kill(pid_, SIGSTOP);
    siginfo_t seen{};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(pid_), &seen, WSTOPPED), 0);  // it takes effect a moment later
  }
  void go_on() const { ::kill(pid_, SIGCONT); }

 private:
  pid_t pid_ = -1;
};

void send_text(int client, std::string_view text) {
  EXPECT_EQ(::send(client, text.data(), text.size(), MSG_NOSIGNAL), static_cast<ssize_t>(text.size()));
}

// Reads until `end` is there or the other side closes.
std::string read_until(int client, std::string_view end) {
  std::string text;
  char byte = 0;
  while (text.find(end) == std::string::npos) {
    pollfd waiting{client, POLLIN, 0};
    if (::poll(&waiting, 1, 40'000) != 1) return text + "<nothing came>";
    const ssize_t size = ::recv(client, &byte, 1, 0);
    if (size != 1) return text + (size == 0 ? "<closed>" : "<reset>");
    text += byte;
  }
  return text;
}

std::string answer_to(int client, std::string_view request) {
  send_text(client, request);
  return read_until(client, "}\n");
}

constexpr std::string_view kGet = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

class Whoami : public ::testing::Test {
 protected:
  Whoami() : process_(supervisor_, {HOLDFAST_BIN "/whoami"}) {
    EXPECT_EQ(supervisor_.receive_type(), HF_FRAME_HELLO);
    EXPECT_EQ(supervisor_.receive_type(), HF_FRAME_READY);
  }
  int connect() { return supervisor_.send_tcp_connection(); }

  FakeSupervisor supervisor_;
  WorkerProcess process_;
};

TEST_F(Whoami, TellsWhoAnswers) {
  const std::string answer = answer_to(connect(), kGet);
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
  const nlohmann::json body = nlohmann::json::parse(answer.substr(answer.find("\r\n\r\n")));
  EXPECT_EQ(body, (nlohmann::json{{"slot", 2},
                                  {"pid", process_.pid()},
                                  {"generation", 7},
                                  {"remote", "192.0.2.0:40000"},
                                  {"listener", "http"},
                                  {"plane", "pass"}}));
  EXPECT_THAT(answer,
              HasSubstr("Content-Length: " + std::to_string(answer.size() - answer.find("\r\n\r\n") - 4) + "\r\n"));
}

TEST_F(Whoami, KeepsTheConnectionUntilAskedToClose) {
  const int client = connect();
  for (int i = 0; i < 3; ++i) EXPECT_THAT(answer_to(client, kGet), Not(HasSubstr("onnection")));
  EXPECT_THAT(answer_to(client, "GET / HTTP/1.1\r\nCONNECTION: foo, Close\r\n\r\n"), HasSubstr("Connection: close"));
  EXPECT_EQ(read_until(client, "x"), "<closed>");
}

TEST_F(Whoami, HearsNothingMoreOfAClosedConnectionThatTheSupervisorStillHasOpen) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()), 0);
  const auto [client, copy] = ends;
  ASSERT_TRUE(supervisor_.send_raw(supervisor_.connections_frame(1), std::span(&ends[1], 1)));
  (void)answer_to(client, kGet);  // from now on whoami watches it
  (void)answer_to(client, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
  send_text(client, "an event of the connection that whoami has closed");
  EXPECT_THAT(answer_to(connect(), kGet), StartsWith("HTTP/1.1 200 OK\r\n"));
  ::close(client);
  ::close(copy);
}

TEST_F(Whoami, SpeaksHttp10) {
  const int kept = connect();
  EXPECT_THAT(answer_to(kept, "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"), HasSubstr("Connection: keep-alive"));
  EXPECT_THAT(answer_to(kept, "GET / HTTP/1.0\n\n"), HasSubstr("Connection: close"));
  EXPECT_EQ(read_until(kept, "x"), "<closed>");
}

TEST_F(Whoami, AnswersPipelinedRequestsInOrderAndThenCloses) {
  const int client = connect();
  std::string requests;
  for (int i = 0; i < 300; ++i) requests += kGet;
  send_text(
      client,
      requests + "GET /slow?ms=20 HTTP/1.1\r\n\r\nHEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nConnection: close\r\n\r\n");
  for (int i = 0; i < 301; ++i) ASSERT_THAT(read_until(client, "}\n"), EndsWith("}\n")) << i;
  const std::string last = read_until(client, "}\n");
  EXPECT_EQ(last.find("HTTP/1.1 200"), 0u);
  EXPECT_NE(last.find("HTTP/1.1 200", 1), std::string::npos) << "HEAD has a head of its own and no body";
  EXPECT_EQ(read_until(client, "x"), "<closed>");
}

TEST_F(Whoami, PutsASplitHeadTogether) {
  const int client = connect();
  for (const char byte : std::string("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r"))
    send_text(client, std::string_view(&byte, 1));
  EXPECT_THAT(answer_to(client, "\n"), StartsWith("HTTP/1.1 200 OK"));
}

TEST_F(Whoami, AnswersAClientThatClosedItsHalf) {
  const int client = connect();
  send_text(client, "GET /slow?ms=30 HTTP/1.1\r\n\r\n");
  ::shutdown(client, SHUT_WR);
  EXPECT_THAT(read_until(client, "}\n"), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_EQ(read_until(client, "x"), "<closed>");
}

TEST_F(Whoami, RefusesAHeadWithoutEnd) {
  const int client = connect();
  send_text(client, "GET / HTTP/1.1\r\nX: " + std::string(20000, 'a'));
  EXPECT_THAT(read_until(client, "\r\n\r\n"), StartsWith("HTTP/1.1 431 "));
  send_text(client, "more");  // the client goes on sending, and is not reset meanwhile
  EXPECT_EQ(read_until(client, "x"), "<closed>");
}

TEST_F(Whoami, RefusesWhatIsNotForIt) {
  for (const auto& [request, status] :
       std::vector<std::pair<std::string, std::string>>{{"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405"},
                                                        {"nonsense\r\n\r\n", "400"},
                                                        {"GET / HTTP/1.1\r\nno colon\r\n\r\n", "400"},
                                                        {"GET / HTTP/2.0\r\n\r\n", "505"},
                                                        {"GET /slow?ms=-1 HTTP/1.1\r\n\r\n", "400"},
                                                        {"GET /exit?code=999 HTTP/1.1\r\n\r\n", "400"}}) {
    const int client = connect();
    send_text(client, request);
    EXPECT_THAT(read_until(client, "\r\n\r\n"), AllOf(StartsWith("HTTP/1.1 " + status), HasSubstr("Connection: close")))
        << request;
    EXPECT_EQ(read_until(client, "x"), "<closed>");
  }
}

TEST_F(Whoami, ServesOthersWhileOneIsSlow) {
  const int slow = connect();
  send_text(slow, "GET /slow?ms=100 HTTP/1.1\r\n\r\n");
  const std::uint64_t before = monotonic_ns();
  EXPECT_THAT(answer_to(connect(), kGet), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_THAT(read_until(slow, "}\n"), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_GE(monotonic_ns() - before, 90'000'000u);
}

TEST_F(Whoami, CountsWhatItCloses) {
  for (int i = 0; i < 5; ++i) {
    const int client = connect();
    EXPECT_THAT(answer_to(client, "GET / HTTP/1.0\r\n\r\n"), StartsWith("HTTP/1.1 200 OK"));
    EXPECT_EQ(read_until(client, "x"), "<closed>");
  }
  // The close reaches the client an instant before it is counted; the next answer comes after both.
  EXPECT_THAT(answer_to(connect(), kGet), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_EQ(supervisor_.page().taken, 6u);
  EXPECT_EQ(supervisor_.page().closed, 5u);
}

TEST_F(Whoami, EndsAsItIsTold) {
  const int client = connect();
  EXPECT_THAT(answer_to(client, "GET /exit?code=7 HTTP/1.1\r\n\r\n"), StartsWith("HTTP/1.1 200 OK"));
  const int status = process_.wait();
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 7);
}

TEST_F(Whoami, Crashes) {
  send_text(connect(), "GET /crash HTTP/1.1\r\n\r\n");
  const int status = process_.wait();
  EXPECT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGABRT);
}

TEST_F(Whoami, FinishesWhatIsOpenWhenDrained) {
  const int idle = connect();
  EXPECT_THAT(answer_to(idle, kGet), Not(HasSubstr("onnection")));
  const int slow = connect();
  send_text(slow, "GET /slow?ms=50 HTTP/1.1\r\n\r\n");
  const int half = connect();
  send_text(half, "GET / HT");
  EXPECT_THAT(answer_to(idle, kGet), StartsWith("HTTP/1.1 200 OK"));  // by now the others were read as well
  supervisor_.send_drain(monotonic_ns() + 5'000'000'000u);
  EXPECT_THAT(read_until(slow, "}\n"), StartsWith("HTTP/1.1 200 OK"));
  EXPECT_EQ(read_until(slow, "x"), "<closed>");
  EXPECT_EQ(read_until(idle, "x"), "<closed>");
  EXPECT_THAT(answer_to(half, "TP/1.1\r\n\r\n"), HasSubstr("Connection: close"));
  EXPECT_EQ(supervisor_.receive_type(), HF_FRAME_DRAINED);
  EXPECT_EQ(process_.wait(), 0);
}

TEST_F(Whoami, LeavesAtTheDeadline) {
  const int slow = connect();
  send_text(slow, "GET /slow?ms=600000 HTTP/1.1\r\n\r\n");
  const std::uint64_t deadline = monotonic_ns() + 300'000'000u;
  supervisor_.send_drain(deadline);
  EXPECT_EQ(process_.wait(), 0);
  EXPECT_LT(monotonic_ns(), deadline + 2'000'000'000u);
}

TEST_F(Whoami, LeavesWhenTheSupervisorDies) {
  const int client = connect();
  EXPECT_THAT(answer_to(client, kGet), StartsWith("HTTP/1.1 200 OK"));
  supervisor_.die();
  EXPECT_EQ(read_until(client, "x"), "<closed>");
  EXPECT_EQ(process_.wait(), 0);
}

TEST_F(Whoami, StopsBeatingWhenItHangs) {
  send_text(connect(), "GET /hang HTTP/1.1\r\n\r\n");
  // It has read the request when nothing more comes: a supervisor would see the same silence.
  std::uint64_t last = 0;
  while (supervisor_.page().taken != 1 || monotonic_ns() - supervisor_.page().heartbeat_ns < 400'000'000u) {
    pollfd nothing{-1, 0, 0};
    ::poll(&nothing, 1, 50);
    ASSERT_GE(supervisor_.page().heartbeat_ns, last);
    last = supervisor_.page().heartbeat_ns;
  }
}

nlohmann::json body_of(const std::string& answer) {
  return nlohmann::json::parse(answer.substr(answer.find("\r\n\r\n")));
}

TEST(WhoamiSteered, TellsByWhichPlaneEachConnectionCame) {
  FakeSupervisor supervisor;
  supervisor.give_sockets({Served::ByTcp, Served::ByTcp});
  WorkerProcess process(supervisor, {HOLDFAST_BIN "/whoami"});
  for (const std::size_t listener : {0u, 1u}) {
    const int client = supervisor.connect(listener);
    const nlohmann::json body = body_of(answer_to(client, kGet));
    EXPECT_EQ(body.at("plane"), "steer");
    EXPECT_EQ(body.at("listener"), "l" + std::to_string(listener));
    EXPECT_THAT(std::string(body.at("remote")), StartsWith("127.0.0.1:"));
    ::close(client);
  }
  const nlohmann::json passed = body_of(answer_to(supervisor.send_tcp_connection(), kGet));
  EXPECT_EQ(passed.at("plane"), "pass");
}

TEST(WhoamiSteered, AnswersEveryoneInItsQueueWhenDrained) {
  FakeSupervisor supervisor;
  supervisor.give_sockets({Served::ByTcp});
  WorkerProcess process(supervisor, {HOLDFAST_BIN "/whoami"});
  const int first = supervisor.connect(0);
  EXPECT_THAT(answer_to(first, kGet), StartsWith("HTTP/1.1 200 OK"));
  process.stop();
  std::vector<int> clients;
  for (int i = 0; i < 300; ++i) {
    clients.push_back(supervisor.connect(0));
    send_text(clients.back(), "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
  }
  ASSERT_TRUE(eventually([&] { return supervisor.queued(0) == 300; }));
  supervisor.send_drain(monotonic_ns() + 10'000'000'000u);
  ::close(first);
  process.go_on();
  for (const int client : clients) {
    ASSERT_THAT(read_until(client, "}\n"), StartsWith("HTTP/1.1 200 OK"));
    ::close(client);
  }
  EXPECT_EQ(process.wait(), 0);
  EXPECT_EQ(supervisor.page().accepted, 301u);
  EXPECT_EQ(supervisor.page().closed, 301u);
}

// The answer to one datagram.
std::string datagram_answer(int client, std::string_view text) {
  send_text(client, text);
  pollfd waiting{client, POLLIN, 0};
  if (::poll(&waiting, 1, 40'000) != 1) return "<nothing came>";
  std::array<char, 512> bytes;
  const ssize_t size = ::recv(client, bytes.data(), bytes.size(), 0);
  return size < 0 ? "<error>" : std::string(bytes.data(), static_cast<std::size_t>(size));
}

TEST(EchoUdp, AnswersFromItsSlotAndLeavesWhenDrained) {
  FakeSupervisor supervisor;
  supervisor.give_sockets({Served::ByUdp});
  WorkerProcess process(supervisor, {HOLDFAST_BIN "/echo-udp"});
  const int client = supervisor.connect(0);
  EXPECT_EQ(datagram_answer(client, "one"), "slot 2: one");
  EXPECT_EQ(datagram_answer(client, ""), "slot 2: ");
  ::close(client);
  supervisor.send_drain(monotonic_ns() + 5'000'000'000u);
  EXPECT_EQ(process.wait(), 0);
}

// Written from PROTOCOL.md alone, in another language.
class PythonWorker : public ::testing::TestWithParam<Page> {};

TEST_P(PythonWorker, UnderstandsTheProtocol) {
  FakeSupervisor supervisor(GetParam());
  std::vector<std::string> command{"python3", HOLDFAST_SOURCE "/tests/interop/python_worker/worker.py"};
  if (GetParam() == Page::Withheld) command.push_back("--no-page");
  WorkerProcess process(supervisor, command);
  const auto hello = supervisor.receive();
  ASSERT_TRUE(hello.has_value());
  EXPECT_EQ(std::to_integer<int>((*hello)[0]), HF_FRAME_HELLO);
  EXPECT_EQ(std::to_integer<int>((*hello)[12]), GetParam() == Page::Given ? HF_HELLO_PAGE : 0);
  unsigned beats = 0;
  std::optional<std::uint16_t> type = supervisor.receive_type();
  for (; type == HF_FRAME_HEARTBEAT; type = supervisor.receive_type()) ++beats;
  EXPECT_EQ(type, HF_FRAME_READY);

  ASSERT_TRUE(supervisor.send_connections(2));
  for (const int client : supervisor.clients()) send_text(client, "GET / HTTP/1.1\r\nConnection: close\r\n\r\n");
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string answer = read_until(supervisor.clients()[i], "}\n");
    ASSERT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
    const nlohmann::json body = nlohmann::json::parse(answer.substr(answer.find("\r\n\r\n")));
    EXPECT_EQ(body.at("slot"), 2);
    EXPECT_EQ(body.at("pid"), process.pid());
    EXPECT_EQ(body.at("remote"), "192.0.2." + std::to_string(i) + ":40000");
    EXPECT_EQ(body.at("listener"), "http");
  }
  supervisor.send_drain(monotonic_ns() + 5'000'000'000u);
  EXPECT_EQ(process.wait(), 0);

  std::uint64_t taken = 0;
  std::uint64_t closed = 0;
  bool drained = false;
  while (const auto frame = supervisor.receive()) {
    hf_frame_number number{};
    std::memcpy(&number, frame->data(), std::min(frame->size(), sizeof number));
    if (number.header.type == HF_FRAME_TAKEN) taken += number.number;
    if (number.header.type == HF_FRAME_CLOSED) closed += number.number;
    if (number.header.type == HF_FRAME_HEARTBEAT) ++beats;
    drained = drained || number.header.type == HF_FRAME_DRAINED;
    if (drained && !supervisor.has_frame()) break;
  }
  EXPECT_TRUE(drained);
  if (GetParam() == Page::Given) {
    taken = supervisor.page().taken;
    closed = supervisor.page().closed;
    EXPECT_GT(supervisor.page().heartbeat_ns, 0u);
  } else {
    EXPECT_GT(beats, 0u);
  }
  EXPECT_EQ(taken, 2u);
  EXPECT_EQ(closed, 2u);
}

TEST_P(PythonWorker, ServesTheSocketsOfItsSlot) {
  FakeSupervisor supervisor(GetParam());
  supervisor.give_sockets({Served::ByChannel, Served::ByTcp, Served::ByUdp});
  std::vector<std::string> command{"python3", HOLDFAST_SOURCE "/tests/interop/python_worker/worker.py"};
  if (GetParam() == Page::Withheld) command.push_back("--no-page");
  WorkerProcess process(supervisor, command);
  const auto hello = supervisor.receive();
  ASSERT_TRUE(hello.has_value());
  EXPECT_EQ(std::to_integer<unsigned>((*hello)[12]) & HF_HELLO_SOCKETS, HF_HELLO_SOCKETS);

  constexpr std::string_view kOnce = "GET / HTTP/1.1\r\nConnection: close\r\n\r\n";
  for (int i = 0; i < 3; ++i) {
    const int client = supervisor.connect(1);
    const nlohmann::json body = body_of(answer_to(client, kOnce));
    EXPECT_EQ(body.at("plane"), "steer");
    EXPECT_EQ(body.at("listener"), "l1");
    ::close(client);
  }
  ASSERT_TRUE(supervisor.send_connections(1));
  EXPECT_EQ(body_of(answer_to(supervisor.clients()[0], kOnce)).at("plane"), "pass");
  const int udp = supervisor.connect(2);
  EXPECT_EQ(nlohmann::json::parse(datagram_answer(udp, "anything")).at("listener"), "l2");
  ::close(udp);

  process.stop();
  std::vector<int> queued;
  for (int i = 0; i < 5; ++i) {
    queued.push_back(supervisor.connect(1));
    send_text(queued.back(), kOnce);
  }
  ASSERT_TRUE(eventually([&] { return supervisor.queued(1) == 5; }));
  supervisor.send_drain(monotonic_ns() + 5'000'000'000u);
  process.go_on();
  for (const int client : queued) {
    EXPECT_THAT(read_until(client, "}\n"), StartsWith("HTTP/1.1 200 OK"));
    ::close(client);
  }
  EXPECT_EQ(process.wait(), 0);

  std::map<unsigned, std::uint64_t> told;
  while (supervisor.has_frame()) {
    const auto frame = supervisor.receive();
    ASSERT_TRUE(frame.has_value());
    hf_frame_number number{};
    std::memcpy(&number, frame->data(), std::min(frame->size(), sizeof number));
    told[number.header.type] += number.number;
  }
  EXPECT_EQ(told.count(HF_FRAME_DRAINED), 1u);
  const bool page = GetParam() == Page::Given;
  EXPECT_EQ(page ? supervisor.page().accepted : told[HF_FRAME_ACCEPTED], 8u);
  EXPECT_EQ(page ? supervisor.page().taken : told[HF_FRAME_TAKEN], 1u);
  EXPECT_EQ(page ? supervisor.page().closed : told[HF_FRAME_CLOSED], 9u);
}

INSTANTIATE_TEST_SUITE_P(WithAndWithoutPage, PythonWorker, ::testing::Values(Page::Given, Page::Withheld),
                         [](const auto& tried) { return tried.param == Page::Given ? "WithPage" : "WithoutPage"; });

}  // namespace
}  // namespace holdfast::test
