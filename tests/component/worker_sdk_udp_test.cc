// UDP listeners: the SDK says when one is readable, or leaves it to the program; it reads nothing.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <holdfast/worker.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <holdfast/worker.hpp>

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "support/descriptor_limit.h"
#include "support/fake_supervisor.h"
#include "support/sdk_worker.h"

namespace holdfast::test {
namespace {

class UdpClient {
 public:
  UdpClient(const FakeSupervisor& supervisor, std::size_t listener) : fd_(supervisor.connect(listener)) {}
  explicit UdpClient(int fd) : fd_(fd) {}
  UdpClient(const UdpClient&) = delete;
  UdpClient& operator=(const UdpClient&) = delete;
  ~UdpClient() { ::close(fd_); }
  void send(std::string_view text) const {
    EXPECT_EQ(::send(fd_, text.data(), text.size(), 0), static_cast<ssize_t>(text.size()));
  }
  [[nodiscard]] std::string receive() const {
    pollfd waiting{fd_, POLLIN, 0};
    if (::poll(&waiting, 1, 5000) != 1) return "<nothing came>";
    std::array<char, 64> bytes;
    const ssize_t size = ::recv(fd_, bytes.data(), bytes.size(), 0);
    return size < 0 ? "<error>" : std::string(bytes.data(), static_cast<std::size_t>(size));
  }

 private:
  int fd_;
};

// Sends back everything that waits. Returns the number of datagrams.
unsigned echo_all(int socket) {
  unsigned count = 0;
  for (;; ++count) {
    std::array<char, 64> bytes;
    sockaddr_storage peer;
    socklen_t size = sizeof peer;
    auto* const address = reinterpret_cast<sockaddr*>(&peer);
    const ssize_t length = ::recvfrom(socket, bytes.data(), bytes.size(), MSG_DONTWAIT, address, &size);
    if (length < 0) return count;
    EXPECT_EQ(::sendto(socket, bytes.data(), static_cast<std::size_t>(length), 0, address, size), length);
  }
}

TEST(WorkerSdkUdp, ReportsAListenerThatIsReadable) {
  FakeSupervisor supervisor;
  supervisor.give_sockets({Served::ByTcp, Served::ByUdp});
  const SdkWorker worker = open_worker(supervisor, HF_OPEN_DATAGRAMS);
  EXPECT_STREQ(hf_info(worker.get())->plane, "steer");
  hf_event event;
  EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);

  const UdpClient client(supervisor, 1);
  client.send("one");
  client.send("two");
  ASSERT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_DATAGRAM);
  EXPECT_EQ(event.connection.listener, 1);
  EXPECT_STREQ(event.connection.listener_name, "l1");
  EXPECT_EQ(event.connection.fd, hf_socket(worker.get(), 1));
  EXPECT_EQ(event.connection.local.ipv4.sin_port, htons(supervisor.port(1)));
  EXPECT_EQ(event.connection.remote.generic.sa_family, AF_UNSPEC);
  EXPECT_EQ(echo_all(event.connection.fd), 2u);
  EXPECT_EQ(client.receive(), "one");
  EXPECT_EQ(client.receive(), "two");
  EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);
  EXPECT_EQ(hf_wait(worker.get(), 0), 0);
  EXPECT_EQ(supervisor.page().accepted + supervisor.page().taken + supervisor.page().closed, 0u);
}

TEST(WorkerSdkUdp, ReportsWhatWasLeftOnceInEveryTurn) {
  FakeSupervisor supervisor;
  supervisor.give_sockets({Served::ByUdp});
  const SdkWorker worker = open_worker(supervisor, HF_OPEN_DATAGRAMS);
  const UdpClient client(supervisor, 0);
  client.send("x");
  for (int turn = 0; turn < 3; ++turn) {
    hf_event event;
    ASSERT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_DATAGRAM);
    EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE) << "one event in a turn, or the loop never ends";
  }
}

TEST(WorkerSdkUdp, LeavesItToAProgramThatDidNotAsk) {
  FakeSupervisor supervisor;
  supervisor.give_sockets({Served::ByUdp});
  const SdkWorker worker = open_worker(supervisor);
  const UdpClient client(supervisor, 0);
  client.send("x");
  pollfd waiting{hf_socket(worker.get(), 0), POLLIN, 0};
  ASSERT_EQ(::poll(&waiting, 1, 5000), 1);
  EXPECT_EQ(hf_wait(worker.get(), 0), 0) << "a program that knows nothing of datagrams would spin";
  hf_event event;
  EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);
  EXPECT_EQ(echo_all(waiting.fd), 1u);
  EXPECT_EQ(client.receive(), "x");
}

TEST(WorkerSdkUdp, IsReportedAtTheDescriptorLimitToo) {
  FakeSupervisor supervisor;
  supervisor.give_sockets({Served::ByTcp, Served::ByUdp});
  std::vector<int> clients;
  for (int i = 0; i < 30; ++i) clients.push_back(supervisor.connect(0));
  const UdpClient client(supervisor, 1);
  const DescriptorLimit limit(open_descriptors() + kOwn + 2 + kReserve + 10);
  const SdkWorker worker = open_worker(supervisor, HF_OPEN_DATAGRAMS);
  const std::vector<int> taken = take(worker.get());
  EXPECT_EQ(taken.size(), 11u);
  client.send("x");
  hf_event event;
  ASSERT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_DATAGRAM) << "a datagram needs no descriptor";
  EXPECT_EQ(echo_all(event.connection.fd), 1u);
  for (const int fd : taken) hf_release(worker.get(), fd);
  for (const int fd : clients) ::close(fd);
}

TEST(WorkerSdkUdp, IsReportedOnceMoreAheadOfADrainAndStillBehindIt) {
  FakeSupervisor supervisor;
  supervisor.give_sockets({Served::ByUdp});
  const SdkWorker worker = open_worker(supervisor, HF_OPEN_DATAGRAMS);
  const UdpClient client(supervisor, 0);
  supervisor.send_drain(9);
  hf_event event;
  ASSERT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_DATAGRAM);
  ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_DRAIN);
  EXPECT_EQ(event.deadline_ns, 9u);
  client.send("late");
  ASSERT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_DATAGRAM);
  EXPECT_EQ(echo_all(event.connection.fd), 1u);
}

TEST(WorkerSdkUdp, EndsWithTheSupervisor) {
  FakeSupervisor supervisor;
  supervisor.give_sockets({Served::ByUdp});
  const SdkWorker worker = open_worker(supervisor, HF_OPEN_DATAGRAMS);
  const UdpClient client(supervisor, 0);
  client.send("x");
  supervisor.die();
  hf_event event;
  ASSERT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_DATAGRAM);
  // Reported before the end was read, it may be reported once more.
  if (hf_next(worker.get(), &event) == HF_EVENT_DATAGRAM) (void)hf_next(worker.get(), &event);
  EXPECT_EQ(event.type, HF_EVENT_GONE);
  EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);
  EXPECT_EQ(hf_wait(worker.get(), 0), 0) << "unread datagrams make nobody wake any more";
}

TEST(WorkerSdkUdp, KeepsDatagramsForTheNextWorker) {
  FakeSupervisor supervisor;
  supervisor.give_sockets({Served::ByUdp});
  const UdpClient client(supervisor, 0);
  { const SdkWorker worker = open_worker(supervisor, HF_OPEN_DATAGRAMS); }
  client.send("x");
  EXPECT_NE(::fcntl(supervisor.socket(0), F_GETFL) & O_NONBLOCK, 0);
  const SdkWorker successor = open_worker(supervisor, HF_OPEN_DATAGRAMS);
  hf_event event;
  ASSERT_EQ(wait_for_event(successor.get(), &event), HF_EVENT_DATAGRAM);
  EXPECT_EQ(echo_all(event.connection.fd), 1u);
}

class Standalone {
 public:
  explicit Standalone(const std::string& address, std::uint32_t flags) : address_(address) {
    const char* text = address_.c_str();
    hf_options options{};
    options.size = sizeof options;
    options.standalone = &text;
    options.standalone_count = 1;
    options.flags = flags;
    hf_worker* opened = nullptr;
    status = hf_open(&options, &opened);
    worker.reset(opened);
  }
  int status = 0;
  SdkWorker worker;

 private:
  std::string address_;
};

TEST(WorkerSdkUdp, BindsByItselfWithoutASupervisor) {
  for (const std::string address : {"udp://127.0.0.1:0", "udp://:0"}) {
    const Standalone standalone(address, HF_OPEN_DATAGRAMS);
    hf_worker* const worker = standalone.worker.get();
    ASSERT_EQ(standalone.status, 0) << hf_error_text();
    const std::string bound = hf_info(worker)->listener[0].address;
    EXPECT_THAT(bound, ::testing::StartsWith(address.substr(0, 6)));
    EXPECT_STREQ(hf_info(worker)->plane, "self");
    hf_event event;
    EXPECT_EQ(hf_next(worker, &event), HF_EVENT_NONE);

    sockaddr_in target{};
    target.sin_family = AF_INET;
    target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    target.sin_port = htons(static_cast<std::uint16_t>(std::stoi(bound.substr(bound.rfind(':') + 1))));
    const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&target), sizeof target), 0);
    const UdpClient client(fd);
    client.send("hello");
    ASSERT_EQ(wait_for_event(worker, &event), HF_EVENT_DATAGRAM);
    EXPECT_EQ(event.connection.plane, HF_PLANE_SELF);
    EXPECT_EQ(echo_all(event.connection.fd), 1u);
    EXPECT_EQ(client.receive(), "hello");
  }
}

TEST(WorkerSdkUdp, SharesItsPortOnlyWhenAsked) {
  const Standalone first("udp://127.0.0.1:0", HF_OPEN_REUSEPORT);
  ASSERT_EQ(first.status, 0) << hf_error_text();
  const std::string bound = hf_info(first.worker.get())->listener[0].address;
  EXPECT_EQ(Standalone(bound, 0).status, -EADDRINUSE);
  EXPECT_THAT(hf_error_text(), ::testing::HasSubstr(bound + ": bind"));
  EXPECT_EQ(Standalone(bound, HF_OPEN_REUSEPORT).status, 0) << hf_error_text();
  EXPECT_EQ(Standalone("udp://nonsense", 0).status, -EINVAL);
  EXPECT_THAT(hf_error_text(), ::testing::HasSubstr("\"udp://nonsense\""));
  EXPECT_EQ(Standalone("udp://unix:/tmp/x", 0).status, -EINVAL);
}

TEST(WorkerSdkUdp, HasACppFace) {
  FakeSupervisor supervisor;
  supervisor.give_sockets({Served::ByTcp, Served::ByUdp});
  supervisor.offer();
  std::optional<Worker> worker = Worker::open({.udp = UdpListeners::Reported});
  ASSERT_TRUE(worker.has_value()) << Worker::error_text();
  const UdpClient client(supervisor, 1);
  const UdpClient tcp(supervisor, 0);
  client.send("x");
  bool datagrams = false;
  bool arrival = false;
  while (!datagrams || !arrival) {
    ASSERT_TRUE(worker->wait(std::chrono::seconds(5)));
    const Event event = worker->next();
    if (const auto* udp = std::get_if<Datagrams>(&event)) {
      EXPECT_EQ(udp->listener, 1);
      EXPECT_EQ(udp->fd, worker->socket(1));
      EXPECT_EQ(echo_all(udp->fd), 1u);
      datagrams = true;
    } else if (const auto* came = std::get_if<Arrival>(&event)) {
      EXPECT_EQ(came->plane(), "steer");
      arrival = true;
    }
  }
  EXPECT_EQ(client.receive(), "x");
}

}  // namespace
}  // namespace holdfast::test
