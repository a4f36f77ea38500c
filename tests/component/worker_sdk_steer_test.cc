// The steer plane: the worker accepts from the sockets of its slot, beside what comes through the channel.
#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <holdfast/worker.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "support/descriptor_limit.h"
#include "support/eventually.h"
#include "support/fake_supervisor.h"
#include "support/sdk_worker.h"

namespace holdfast::test {
namespace {

using ::testing::HasSubstr;

class WorkerSdkSteer : public ::testing::Test {
 protected:
  ~WorkerSdkSteer() override {
    for (const int client : clients_) ::close(client);
  }
  void connect(std::size_t listener, unsigned count = 1) {
    const unsigned expected = supervisor_.queued(listener) + count;
    for (unsigned i = 0; i < count; ++i) clients_.push_back(supervisor_.connect(listener));
    ASSERT_TRUE(eventually([&] { return supervisor_.queued(listener) == expected; }));
  }
  // The next event is a connection of this plane; it is released.
  void expect_connection(hf_worker* worker, hf_plane plane) {
    hf_event event;
    ASSERT_EQ(wait_for_event(worker, &event), HF_EVENT_CONNECTION);
    EXPECT_STREQ(hf_plane_text(event.connection.plane), hf_plane_text(plane));
    hf_release(worker, event.connection.fd);
  }

  FakeSupervisor supervisor_;
  std::vector<int> clients_;
};

TEST_F(WorkerSdkSteer, AcceptsByItself) {
  supervisor_.give_sockets({Served::ByChannel, Served::ByTcp});
  const SdkWorker worker = open_worker(supervisor_);
  EXPECT_STREQ(hf_info(worker.get())->plane, "steer");
  const auto hello = supervisor_.receive();
  ASSERT_TRUE(hello.has_value());
  EXPECT_EQ(std::to_integer<unsigned>((*hello)[12]), HF_HELLO_PAGE | HF_HELLO_SOCKETS);

  connect(1);
  hf_event event;
  ASSERT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_CONNECTION);
  const hf_connection& connection = event.connection;
  sockaddr_in client{};
  socklen_t size = sizeof client;
  ASSERT_EQ(::getsockname(clients_[0], reinterpret_cast<sockaddr*>(&client), &size), 0);
  EXPECT_EQ(connection.remote.generic.sa_family, AF_INET);
  EXPECT_EQ(connection.remote.ipv4.sin_port, client.sin_port);
  EXPECT_EQ(connection.local.ipv4.sin_port, htons(supervisor_.port(1)));
  EXPECT_EQ(connection.listener, 1);
  EXPECT_STREQ(connection.listener_name, "l1");
  EXPECT_EQ(connection.slot, 2u);
  EXPECT_EQ(connection.bucket, 0u);
  EXPECT_EQ(connection.plane, HF_PLANE_STEER);
  EXPECT_EQ(connection.id, std::uint64_t{1} << 63 | static_cast<std::uint64_t>(::getpid()) << 32 | 1);
  EXPECT_NE(::fcntl(connection.fd, F_GETFD) & FD_CLOEXEC, 0);
  EXPECT_NE(::fcntl(connection.fd, F_GETFL) & O_NONBLOCK, 0);
  EXPECT_EQ(supervisor_.page().accepted, 1u);
  EXPECT_EQ(supervisor_.page().taken, 0u) << "taken accounts for the channel only";
  hf_release(worker.get(), connection.fd);
  EXPECT_EQ(supervisor_.page().closed, 1u);
  EXPECT_EQ(hf_wait(worker.get(), 0), 0);
}

TEST_F(WorkerSdkSteer, IsThePassPlaneWhereTheChannelServesEveryListener) {
  supervisor_.give_sockets({Served::ByChannel, Served::ByChannel});
  const SdkWorker worker = open_worker(supervisor_);
  EXPECT_STREQ(hf_info(worker.get())->plane, "pass");
  const auto hello = supervisor_.receive();
  ASSERT_TRUE(hello.has_value());
  EXPECT_EQ(std::to_integer<unsigned>((*hello)[12]), HF_HELLO_PAGE);
}

TEST_F(WorkerSdkSteer, TakesUpConnectionsOfBothPlanes) {
  supervisor_.give_sockets({Served::ByTcp});
  const SdkWorker worker = open_worker(supervisor_);
  for (int round = 0; round < 3; ++round) {
    connect(0);
    expect_connection(worker.get(), HF_PLANE_STEER);
    ASSERT_TRUE(supervisor_.send_connections(1));
    expect_connection(worker.get(), HF_PLANE_PASS);
  }
  EXPECT_EQ(supervisor_.page().accepted, 3u);
  EXPECT_EQ(supervisor_.page().taken, 3u);
  EXPECT_EQ(supervisor_.page().closed, 6u);
}

TEST_F(WorkerSdkSteer, GivesEverySourceItsTurn) {
  supervisor_.give_sockets({Served::ByTcp, Served::ByTcp, Served::ByTcp});
  const SdkWorker worker = open_worker(supervisor_);
  for (std::size_t listener = 0; listener < 3; ++listener) connect(listener, 100);
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(supervisor_.send_connections(64));
  std::map<int, unsigned> seen;  // by listener; the channel is -1
  hf_event event;
  for (int i = 0; i < 2 * (3 + 64); ++i) {
    ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_CONNECTION);
    ++seen[event.connection.plane == HF_PLANE_PASS ? -1 : event.connection.listener];
    hf_release(worker.get(), event.connection.fd);
  }
  for (const int source : {-1, 0, 1, 2}) EXPECT_GE(seen[source], 2u) << "source " << source;
  EXPECT_EQ(take_all(worker.get()) + 2 * (3 + 64), 300u + 128u);
}

TEST_F(WorkerSdkSteer, FindsWhatTheProgramWasWokenForInEitherPlace) {
  supervisor_.give_sockets({Served::ByTcp});
  const SdkWorker worker = open_worker(supervisor_);
  hf_event event;
  for (int i = 0; i < 20; ++i) {
    if (i % 2 == 0) {
      ASSERT_TRUE(supervisor_.send_connections(1));
    } else {
      connect(0);
    }
    ASSERT_TRUE(is_readable(worker.get(), 5000));
    ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_CONNECTION) << "woken for nothing, " << i;
    hf_release(worker.get(), event.connection.fd);
    ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);
  }
}

TEST_F(WorkerSdkSteer, DoesNotForgetTheChannelWhileItsListenerIsBusy) {
  supervisor_.give_sockets({Served::ByTcp});
  const SdkWorker worker = open_worker(supervisor_);
  ASSERT_TRUE(supervisor_.send_connections(1));
  bool passed = false;
  for (int turn = 0; turn < 20 && !passed; ++turn) {
    connect(0);
    hf_event event;
    while (hf_next(worker.get(), &event) == HF_EVENT_CONNECTION) {
      passed = passed || event.connection.plane == HF_PLANE_PASS;
      hf_release(worker.get(), event.connection.fd);
    }
  }
  EXPECT_TRUE(passed);
}

TEST_F(WorkerSdkSteer, LetsTheProgramLookAfterItsOpenConnections) {
  supervisor_.give_sockets({Served::ByTcp});
  const SdkWorker worker = open_worker(supervisor_);
  connect(0, 100);
  unsigned count = 0;
  for (hf_event event; hf_next(worker.get(), &event) == HF_EVENT_CONNECTION; ++count)
    hf_release(worker.get(), event.connection.fd);
  EXPECT_EQ(count, 64u) << "a full queue must not hold the program in its loop over hf_next";
  EXPECT_TRUE(is_readable(worker.get())) << "what is left must be told";
  EXPECT_EQ(take_all(worker.get()), 36u);
}

TEST_F(WorkerSdkSteer, LeavesItsQueueToTheNextWorker) {
  supervisor_.give_sockets({Served::ByTcp});
  {
    const SdkWorker worker = open_worker(supervisor_);
    connect(0, 30);
    expect_connection(worker.get(), HF_PLANE_STEER);
  }
  EXPECT_NE(::fcntl(supervisor_.socket(0), F_GETFL) & O_NONBLOCK, 0);
  const SdkWorker successor = open_worker(supervisor_);
  EXPECT_EQ(take_all(successor.get()), 29u);
  EXPECT_EQ(supervisor_.page().accepted, 30u);
}

TEST_F(WorkerSdkSteer, ServesItsQueueOutBeforeItDrains) {
  supervisor_.give_sockets({Served::ByTcp, Served::ByTcp});
  const SdkWorker worker = open_worker(supervisor_);
  connect(0, 70);  // more than a turn
  connect(1, 3);
  supervisor_.send_drain(77);
  unsigned count = 0;
  hf_event event;
  while (wait_for_event(worker.get(), &event) == HF_EVENT_CONNECTION) {
    hf_release(worker.get(), event.connection.fd);
    ++count;
  }
  EXPECT_EQ(event.type, HF_EVENT_DRAIN);
  EXPECT_EQ(event.deadline_ns, 77u);
  EXPECT_EQ(count, 73u);

  connect(0);
  EXPECT_EQ(hf_wait(worker.get(), 150), 0) << "a worker that drains watches its listeners no more";
  EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);
  supervisor_.send_drain(66);
  ASSERT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_DRAIN);
  EXPECT_EQ(event.deadline_ns, 66u);
}

TEST_F(WorkerSdkSteer, IsNotLeftWaitingForADrainThatIsHeldBack) {
  supervisor_.give_sockets({Served::ByTcp});
  const SdkWorker worker = open_worker(supervisor_);
  connect(0, 3);
  supervisor_.send_drain(77);
  for (const hf_event_type expected : {HF_EVENT_CONNECTION, HF_EVENT_CONNECTION, HF_EVENT_CONNECTION, HF_EVENT_DRAIN}) {
    ASSERT_EQ(hf_wait(worker.get(), 1000), 1);  // one event for each wait, though one should ask until there is none
    hf_event event;
    ASSERT_EQ(hf_next(worker.get(), &event), expected);
    if (expected == HF_EVENT_CONNECTION) hf_release(worker.get(), event.connection.fd);
  }
}

TEST_F(WorkerSdkSteer, ServesItsQueueOutWhenTheSupervisorIsGone) {
  supervisor_.give_sockets({Served::ByTcp});
  const SdkWorker worker = open_worker(supervisor_);
  connect(0, 5);
  ASSERT_TRUE(supervisor_.send_connections(2));
  supervisor_.die();
  unsigned count = 0;
  hf_event event;
  while (wait_for_event(worker.get(), &event) == HF_EVENT_CONNECTION) {
    hf_release(worker.get(), event.connection.fd);
    ++count;
  }
  EXPECT_EQ(event.type, HF_EVENT_GONE);
  EXPECT_EQ(count, 7u);
  connect(0);
  EXPECT_EQ(hf_wait(worker.get(), 0), 0);
  EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);
}

TEST_F(WorkerSdkSteer, KeepsItsReserveAndDoesNotSpin) {
  supervisor_.give_sockets({Served::ByTcp});
  connect(0, 150);
  const DescriptorLimit limit(open_descriptors() + kOwn + 1 + kReserve + 100);
  const SdkWorker worker = open_worker(supervisor_);
  std::vector<int> taken = take(worker.get());
  EXPECT_EQ(taken.size(), 101u);
  expect_only_beats(worker.get());
  std::thread([&] {
    for (const int fd : taken) hf_release(worker.get(), fd);
  }).join();
  EXPECT_TRUE(is_readable(worker.get())) << "releases make room, and the event loop must hear of it";
  expect_connection(worker.get(), HF_PLANE_STEER);
  EXPECT_EQ(take_all(worker.get()), 48u);
  EXPECT_EQ(supervisor_.page().closed, 150u);
}

TEST_F(WorkerSdkSteer, WaitsForABeatWhenTheProgramTookEveryDescriptor) {
  supervisor_.give_sockets({Served::ByTcp});
  connect(0, 2);
  const DescriptorLimit limit(open_descriptors() + kOwn + 1 + kReserve + 20);
  const SdkWorker worker = open_worker(supervisor_);
  std::vector<int> own;
  for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) own.push_back(fd);
  hf_event event;
  EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);
  expect_only_beats(worker.get());
  for (const int fd : own) ::close(fd);
  expect_connection(worker.get(), HF_PLANE_STEER);
  EXPECT_EQ(take_all(worker.get()), 1u);
}

TEST_F(WorkerSdkSteer, DrainsAtItsDescriptorLimitWithoutWaitingForRoom) {
  supervisor_.give_sockets({Served::ByTcp});
  connect(0, 50);
  const DescriptorLimit limit(open_descriptors() + kOwn + 1 + kReserve + 20);
  const SdkWorker worker = open_worker(supervisor_);
  supervisor_.send_drain(5);
  std::vector<int> taken;
  hf_event event;
  while (wait_for_event(worker.get(), &event) == HF_EVENT_CONNECTION) taken.push_back(event.connection.fd);
  EXPECT_EQ(event.type, HF_EVENT_DRAIN);
  EXPECT_EQ(taken.size(), 21u);
  for (const int fd : taken) hf_release(worker.get(), fd);
  EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE) << "the rest of the queue is the supervisor's";
}

TEST_F(WorkerSdkSteer, HearsAtItsDescriptorLimitThatTheSupervisorIsGone) {
  supervisor_.give_sockets({Served::ByTcp});
  connect(0, 50);
  const DescriptorLimit limit(open_descriptors() + kOwn + 1 + kReserve + 20);
  const SdkWorker worker = open_worker(supervisor_);
  std::vector<int> taken = take(worker.get());
  EXPECT_EQ(taken.size(), 21u);
  supervisor_.die();
  hf_event event;
  // The fake's descriptors were in this process: their end makes room for as many connections.
  while (wait_for_event(worker.get(), &event) == HF_EVENT_CONNECTION) taken.push_back(event.connection.fd);
  EXPECT_EQ(event.type, HF_EVENT_GONE);
  EXPECT_LE(taken.size(), 23u);
  EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);
  EXPECT_EQ(hf_wait(worker.get(), 0), 0);
  for (const int fd : taken) hf_release(worker.get(), fd);
}

TEST_F(WorkerSdkSteer, WaitsForTheRepairOfAListenerThatWasShutDown) {
  supervisor_.give_sockets({Served::ByTcp, Served::ByTcp});
  const SdkWorker worker = open_worker(supervisor_);
  ASSERT_EQ(::shutdown(supervisor_.socket(0), SHUT_RDWR), 0);
  hf_event event;
  ASSERT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_ERROR);
  EXPECT_THAT(event.text, HasSubstr("accept connections of listener l0: Invalid argument"));
  expect_only_beats(worker.get());  // it is tried again, and told no more
  connect(1);
  expect_connection(worker.get(), HF_PLANE_STEER);
  ASSERT_EQ(::listen(supervisor_.socket(0), 16), 0);
  connect(0);
  expect_connection(worker.get(), HF_PLANE_STEER);
}

TEST_F(WorkerSdkSteer, SendsAcceptedWhereThereIsNoPage) {
  FakeSupervisor supervisor(Page::Withheld);
  supervisor.give_sockets({Served::ByTcp});
  const SdkWorker worker = open_worker(supervisor);
  EXPECT_EQ(supervisor.receive_type(), HF_FRAME_HELLO);
  for (int i = 0; i < 3; ++i) clients_.push_back(supervisor.connect(0));
  EXPECT_EQ(take_all(worker.get()), 3u);
  std::map<unsigned, std::uint64_t> told;
  while (supervisor.has_frame()) {
    const auto bytes = supervisor.receive();
    ASSERT_TRUE(bytes.has_value());
    hf_frame_number frame{};
    std::memcpy(&frame, bytes->data(), std::min(bytes->size(), sizeof frame));
    told[frame.header.type] += frame.number;
  }
  EXPECT_EQ(told[HF_FRAME_ACCEPTED], 3u);
  EXPECT_EQ(told[HF_FRAME_CLOSED], 3u);
  EXPECT_EQ(told.count(HF_FRAME_TAKEN), 0u);
}

TEST_F(WorkerSdkSteer, RefusesSocketsThatMakeNoSense) {
  const auto status_with = [&](const std::string& sockets) {
    supervisor_.offer();
    ::setenv(HF_ENV_SOCKETS, sockets.c_str(), 1);
    hf_worker* worker = nullptr;
    const int status = hf_open(nullptr, &worker);
    hf_close(worker);
    return status;
  };
  for (const char* text : {"x,-", "-1,-", "3x,-", ",-", "--,-", "99999999999999999999,-", "3 ,-"}) {
    EXPECT_EQ(status_with(text), -EINVAL) << text;
    EXPECT_THAT(hf_error_text(), HasSubstr("not a list of numbers"));
  }
  EXPECT_EQ(status_with("-"), -EINVAL);
  EXPECT_THAT(hf_error_text(), HasSubstr("1 items for 2 listeners"));
  EXPECT_EQ(status_with("-,-,-"), -EINVAL);
  EXPECT_EQ(status_with("-,987654"), -EBADF);
  EXPECT_THAT(hf_error_text(), HasSubstr("descriptor 987654"));
  const std::string file = std::to_string(::open("/dev/null", O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  EXPECT_EQ(status_with("-," + file), -EINVAL);
  EXPECT_THAT(hf_error_text(), HasSubstr("neither a stream nor a datagram socket"));
  const int blocking = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(status_with("-," + std::to_string(blocking)), -EINVAL);
  EXPECT_THAT(hf_error_text(), HasSubstr("blocking mode"));
  ::close(blocking);
  EXPECT_EQ(status_with(""), 0) << hf_error_text();
}

TEST_F(WorkerSdkSteer, MarksItsSocketsCloseOnExecAndClosesThem) {
  supervisor_.give_sockets({Served::ByTcp});
  const unsigned before = open_descriptors();
  {
    const SdkWorker worker = open_worker(supervisor_);
    const int given = std::atoi(std::getenv(HF_ENV_SOCKETS));
    EXPECT_NE(::fcntl(given, F_GETFD) & FD_CLOEXEC, 0);
    EXPECT_EQ(hf_socket(worker.get(), 0), -1) << "a listening socket is not the program's";
    EXPECT_EQ(hf_socket(worker.get(), 7), -1);
  }
  EXPECT_EQ(open_descriptors(), before);
}

}  // namespace
}  // namespace holdfast::test
