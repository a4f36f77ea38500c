// What arrives on the channel becomes events, in order, whatever the supervisor sends.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <holdfast/worker.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "support/fake_supervisor.h"
#include "support/sdk_worker.h"

namespace holdfast::test {
namespace {

bool is_closed(int client) {
  char byte = 0;
  return ::recv(client, &byte, 1, MSG_DONTWAIT) == 0;
}

TEST(WorkerSdkEvents, TellWhoTheWorkerIs) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  const hf_identity& info = *hf_info(worker.get());
  EXPECT_EQ(info.slot, 2u);
  EXPECT_EQ(info.slots, 4u);
  EXPECT_EQ(info.generation, 7u);
  EXPECT_STREQ(info.pool, "web");
  EXPECT_STREQ(info.plane, "pass");
  EXPECT_EQ(info.heartbeat_ns, 400'000'000u);
  ASSERT_EQ(info.listeners, 2u);
  EXPECT_STREQ(info.listener[0].name, "http");
  EXPECT_STREQ(info.listener[0].address, "127.0.0.1:8080");
  EXPECT_STREQ(info.listener[1].name, "a,b=%");
  EXPECT_STREQ(info.listener[1].address, "unix:/run/x,y");
}

TEST(WorkerSdkEvents, BeginWithHelloAndReadyOnce) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  hf_ready(worker.get());
  hf_ready(worker.get());
  const auto bytes = supervisor.receive();
  ASSERT_TRUE(bytes.has_value());
  hf_frame_hello hello;
  ASSERT_EQ(bytes->size(), sizeof hello);
  std::memcpy(&hello, bytes->data(), sizeof hello);
  EXPECT_EQ(hello.header.type, HF_FRAME_HELLO);
  EXPECT_EQ(hello.version, HF_PROTOCOL_VERSION);
  EXPECT_EQ(hello.flags, HF_HELLO_PAGE);
  EXPECT_EQ(hello.pid, static_cast<std::uint64_t>(::getpid()));
  EXPECT_EQ(supervisor.receive_type(), HF_FRAME_READY);
  EXPECT_FALSE(supervisor.has_frame());
}

TEST(WorkerSdkEvents, CarryTheConnectionWithItsAddresses) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  ASSERT_TRUE(supervisor.send_connections(2));
  hf_event event;
  ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_CONNECTION);
  hf_release(worker.get(), event.connection.fd);
  ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_CONNECTION);
  std::array<char, HF_ADDRESS_TEXT> text;
  EXPECT_STREQ(hf_address_text(&event.connection.remote, text.data()), "192.0.2.1:40000");
  EXPECT_STREQ(hf_address_text(&event.connection.local, text.data()), "192.0.2.1:8080");
  EXPECT_STREQ(event.connection.listener_name, "http");
  EXPECT_EQ(event.connection.bucket, 1);
  EXPECT_EQ(event.connection.slot, 2u);
  EXPECT_EQ(event.connection.id, 2u);
  EXPECT_NE(::fcntl(event.connection.fd, F_GETFD) & FD_CLOEXEC, 0);
  ASSERT_EQ(::send(supervisor.clients()[1], "x", 1, 0), 1);
  char byte = 0;
  EXPECT_EQ(::recv(event.connection.fd, &byte, 1, 0), 1) << "descriptors and records are not in the same order";
  hf_release(worker.get(), event.connection.fd);
  EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);
}

TEST(WorkerSdkEvents, AddressTextCoversEveryFamily) {
  std::array<char, HF_ADDRESS_TEXT> text;
  hf_address address{};
  address.ipv6.sin6_family = AF_INET6;
  std::memset(&address.ipv6.sin6_addr, 0xff, sizeof address.ipv6.sin6_addr);
  address.ipv6.sin6_port = 0xffff;
  EXPECT_STREQ(hf_address_text(&address, text.data()), "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
  address.generic.sa_family = AF_UNIX;
  EXPECT_STREQ(hf_address_text(&address, text.data()), "unix");
  address.generic.sa_family = AF_UNSPEC;
  EXPECT_STREQ(hf_address_text(&address, text.data()), "unknown");
}

TEST(WorkerSdkEvents, CountABatchBeforeItsFirstConnectionIsGivenOut) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  ASSERT_TRUE(supervisor.send_connections(64));
  ASSERT_TRUE(supervisor.send_connections(64));
  hf_event event;
  ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_CONNECTION);
  EXPECT_EQ(supervisor.page().taken, 64u);
  hf_release(worker.get(), event.connection.fd);
  EXPECT_EQ(supervisor.page().closed, 1u);
  EXPECT_EQ(take_all(worker.get()), 127u);
  EXPECT_EQ(supervisor.page().taken, 128u);
  EXPECT_EQ(supervisor.page().closed, 128u);
}

TEST(WorkerSdkEvents, StopReadingConnectionsOnceDraining) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  supervisor.send_drain(12345);
  ASSERT_TRUE(supervisor.send_connections(3));
  hf_event event;
  ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_DRAIN);
  EXPECT_EQ(event.deadline_ns, 12345u);
  EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);
  EXPECT_EQ(supervisor.page().taken, 0u);
  hf_drained(worker.get());
  EXPECT_EQ(supervisor.receive_type(), HF_FRAME_HELLO);
  EXPECT_EQ(supervisor.receive_type(), HF_FRAME_DRAINED);
}

TEST(WorkerSdkEvents, ADrainSaysWhenEachConnectionIsToGo) {
  constexpr std::uint64_t kSpread = 8'000'000'000;
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  EXPECT_EQ(hf_close_at(worker.get(), 1), UINT64_MAX) << "it does not drain";
  supervisor.send_drain(12345, kSpread);
  hf_event event;
  ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_DRAIN);
  std::vector<std::uint64_t> moments;
  for (std::uint64_t id = 1; id <= 4000; id++) moments.push_back(hf_close_at(worker.get(), id));
  EXPECT_EQ(hf_close_at(worker.get(), 7), moments[6]);
  const std::uint64_t first = *std::min_element(moments.begin(), moments.end());
  for (std::uint64_t eighth = 0; eighth < 8; eighth++) {
    const auto in_it = std::count_if(moments.begin(), moments.end(),
                                     [&](std::uint64_t moment) { return (moment - first) * 8 / kSpread == eighth; });
    EXPECT_NEAR(static_cast<double>(in_it), 500, 100) << eighth;
  }
}

TEST(WorkerSdkEvents, ADrainOfAnOlderSupervisorHasNoSpread) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  hf_frame_drain frame{};
  frame.header = {HF_FRAME_DRAIN, 0, HF_FRAME_DRAIN_LEAST};
  frame.deadline_ns = 77;
  const auto* bytes = reinterpret_cast<const std::byte*>(&frame);
  ASSERT_TRUE(supervisor.send_raw({bytes, HF_FRAME_DRAIN_LEAST}));
  hf_event event;
  ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_DRAIN);
  EXPECT_EQ(event.deadline_ns, 77u);
  EXPECT_EQ(hf_close_at(worker.get(), 1), hf_close_at(worker.get(), 2)) << "all at once";
}

TEST(WorkerSdkEvents, BringASecondDeadline) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  supervisor.send_drain(2);
  supervisor.send_drain(1);
  hf_event event;
  ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_DRAIN);
  ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_DRAIN);
  EXPECT_EQ(event.deadline_ns, 1u);
}

TEST(WorkerSdkEvents, ServeWhatADeadSupervisorLeftBehindADrain) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  supervisor.send_drain(1);
  ASSERT_TRUE(supervisor.send_connections(3));
  hf_event event;
  ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_DRAIN);
  ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);
  supervisor.die();
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_CONNECTION);
    hf_release(worker.get(), event.connection.fd);
  }
  EXPECT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_GONE);
}

TEST(WorkerSdkEvents, TellOnceThatTheSupervisorIsGone) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);  // its HELLO stays unread, so the end comes with ECONNRESET
  ASSERT_TRUE(supervisor.send_connections(1));
  supervisor.die();
  hf_event event;
  ASSERT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_CONNECTION) << "what was queued is served first";
  hf_release(worker.get(), event.connection.fd);
  ASSERT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_GONE);
  EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);
  EXPECT_EQ(hf_wait(worker.get(), 0), 0) << "hf_fd must not spin on the hang-up";
  hf_drained(worker.get());  // harmless
}

TEST(WorkerSdkEvents, LeaveTheQueueToTheNextWorker) {
  FakeSupervisor supervisor;
  {
    const SdkWorker worker = open_worker(supervisor);
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(supervisor.send_connections(30));
    hf_event event;
    ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_CONNECTION);
    hf_release(worker.get(), event.connection.fd);
  }
  const SdkWorker successor = open_worker(supervisor);
  EXPECT_EQ(take_all(successor.get()), 60u);
  EXPECT_EQ(supervisor.page().taken, 90u);
  EXPECT_EQ(supervisor.page().closed, 90u);
}

TEST(WorkerSdkEvents, AcceptLongerRecordsAndUnknownFrames) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  hf_frame_header unknown{};
  unknown.type = 63;
  unknown.length = sizeof unknown;
  ASSERT_TRUE(supervisor.send_raw(std::as_bytes(std::span(&unknown, 1))));

  const std::vector<std::byte> plain = supervisor.connections_frame(2);
  constexpr std::size_t kFirstEnd = sizeof(hf_frame_header) + sizeof(hf_connection_record);
  std::vector<std::byte> frame(plain.begin(), plain.begin() + kFirstEnd);
  frame.resize(frame.size() + 8);  // the first record has 8 bytes more
  frame.insert(frame.end(), plain.begin() + kFirstEnd, plain.end());
  frame.resize(frame.size() + 16);  // and the frame 16
  hf_frame_header header;
  std::memcpy(&header, frame.data(), sizeof header);
  header.length = static_cast<std::uint32_t>(frame.size());
  std::memcpy(frame.data(), &header, sizeof header);
  const std::uint16_t record_length = sizeof(hf_connection_record) + 8;
  std::memcpy(frame.data() + sizeof header, &record_length, sizeof record_length);
  const std::array<int, 2> passed{::dup(supervisor.worker_end()), ::dup(supervisor.worker_end())};
  ASSERT_TRUE(supervisor.send_raw(frame, passed));
  for (const int descriptor : passed) ::close(descriptor);
  for (std::uint64_t id = 1; id <= 2; ++id) {
    hf_event event;
    ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_CONNECTION);
    EXPECT_EQ(event.connection.id, id);
    hf_release(worker.get(), event.connection.fd);
  }
}

TEST(WorkerSdkEvents, MakeAnErrorOfEveryMalformedFrameAndGoOn) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  std::vector<std::vector<std::byte>> bad;
  bad.push_back({std::byte{2}});                    // shorter than a header
  bad.push_back(std::vector<std::byte>(100));       // its length is zero
  bad.push_back(std::vector<std::byte>(9000));      // longer than a frame may be
  bad.push_back(supervisor.connections_frame(0));   // no connection
  bad.push_back(supervisor.connections_frame(2));   // two records, one descriptor
  bad.push_back(supervisor.connections_frame(65));  // more than a batch
  bad.push_back(supervisor.connections_frame(1));   // a record of no length
  bad.back()[sizeof(hf_frame_header)] = std::byte{0};
  bad.push_back(supervisor.connections_frame(1));  // a record that reaches beyond the frame
  bad.back()[sizeof(hf_frame_header)] = std::byte{80};
  std::vector<std::byte> drain(sizeof(hf_frame_header));  // without a deadline
  drain[0] = std::byte{HF_FRAME_DRAIN};
  drain[4] = std::byte{sizeof(hf_frame_header)};
  bad.push_back(drain);

  for (std::size_t i = 0; i < bad.size(); ++i) {
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    ASSERT_TRUE(supervisor.send_raw(bad[i], std::span(&ends[1], 1)));
    ::close(ends[1]);
    hf_event event;
    EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_ERROR) << "frame " << i;
    EXPECT_THAT(event.text, ::testing::HasSubstr("read a frame of the supervisor")) << "frame " << i;
    EXPECT_TRUE(is_closed(ends[0])) << "the client of frame " << i << " hangs";
    ::close(ends[0]);
  }
  EXPECT_EQ(supervisor.page().taken, bad.size());
  EXPECT_EQ(supervisor.page().closed, bad.size());
  ASSERT_TRUE(supervisor.send_connections(1));
  EXPECT_EQ(take_all(worker.get()), 1u);
}

TEST(WorkerSdkEvents, SurviveRandomBytes) {
  FakeSupervisor supervisor;
  SdkWorker worker = open_worker(supervisor);
  const unsigned seed = ::testing::UnitTest::GetInstance()->random_seed() + 1u;
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::srand(seed);
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::byte> frame = supervisor.connections_frame(1u + static_cast<unsigned>(std::rand()) % 3u);
    for (int change = std::rand() % 4; change > 0; --change)
      frame[static_cast<std::size_t>(std::rand()) % frame.size()] = static_cast<std::byte>(std::rand());
    const int passed = ::dup(supervisor.worker_end());
    ASSERT_TRUE(supervisor.send_raw(frame, std::span(&passed, 1)));
    ::close(passed);
    hf_event event;
    bool is_draining = false;
    while (hf_next(worker.get(), &event) != HF_EVENT_NONE) {
      if (event.type == HF_EVENT_CONNECTION) hf_release(worker.get(), event.connection.fd);
      is_draining = is_draining || event.type == HF_EVENT_DRAIN;
    }
    if (!is_draining) continue;  // one byte makes a DRAIN of it: then a successor goes on
    worker.reset();
    worker = open_worker(supervisor);
  }
  EXPECT_EQ(supervisor.page().taken, supervisor.page().closed);
}

}  // namespace
}  // namespace holdfast::test
