// The one descriptor in every kind of loop, and what it costs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <holdfast/worker.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>
#include <holdfast/worker.hpp>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <string>
#include <variant>
#include <vector>

#include "support/fake_supervisor.h"
#include "support/sdk_worker.h"
#include "test_paths.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HOLDFAST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HOLDFAST_SANITIZED 1
#endif
#endif
#ifndef HOLDFAST_SANITIZED
#define HOLDFAST_SANITIZED 0
#endif

namespace {
thread_local unsigned long allocations = 0;
}

#if !HOLDFAST_SANITIZED
// Every allocation of this program passes here and is counted.
extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* old, std::size_t size);
void* malloc(std::size_t size) {
  ++allocations;
  return __libc_malloc(size);
}
void* calloc(std::size_t count, std::size_t size) {
  ++allocations;
  return __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) {
  ++allocations;
  return __libc_realloc(old, size);
}
}
#endif

namespace holdfast::test {
namespace {

TEST(WorkerSdkLoops, WorkWithEpoll) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  epoll_event wanted{};
  wanted.events = EPOLLIN;
  ASSERT_EQ(::epoll_ctl(epoll, EPOLL_CTL_ADD, hf_fd(worker.get()), &wanted), 0);
  ASSERT_TRUE(supervisor.send_connections(3));
  unsigned connections = 0;
  bool gone = false;
  while (!gone) {
    epoll_event ready{};
    ASSERT_EQ(::epoll_wait(epoll, &ready, 1, 5000), 1);
    for (hf_event event; hf_next(worker.get(), &event) != HF_EVENT_NONE;) {
      gone = gone || event.type == HF_EVENT_GONE;
      if (event.type != HF_EVENT_CONNECTION) continue;
      hf_release(worker.get(), event.connection.fd);
      if (++connections == 3) supervisor.die();
    }
  }
  EXPECT_EQ(connections, 3u);
  ::close(epoll);
}

struct UvWorker {
  hf_worker* worker;
  FakeSupervisor* supervisor;
  unsigned connections;
  unsigned idle_wakes;
  bool gone;
};

void on_readable(uv_poll_t* poll, int status, int) {
  UvWorker& self = *static_cast<UvWorker*>(poll->data);
  EXPECT_EQ(status, 0);
  hf_event event;
  if (hf_next(self.worker, &event) == HF_EVENT_NONE) {
    // Nothing but the heartbeat: after three, the supervisor goes.
    if (++self.idle_wakes == 3) self.supervisor->die();
    return;
  }
  do {
    if (event.type == HF_EVENT_CONNECTION) {
      ++self.connections;
      hf_release(self.worker, event.connection.fd);
    } else if (event.type == HF_EVENT_GONE) {
      self.gone = true;
      uv_close(reinterpret_cast<uv_handle_t*>(poll), nullptr);
    }
  } while (hf_next(self.worker, &event) != HF_EVENT_NONE);
}

TEST(WorkerSdkLoops, WorkWithLibuv) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  ASSERT_TRUE(supervisor.send_connections(64));
  ASSERT_TRUE(supervisor.send_connections(6));
  UvWorker self{worker.get(), &supervisor, 0, 0, false};
  uv_loop_t loop;
  uv_loop_init(&loop);
  uv_poll_t poll;
  uv_poll_init(&loop, &poll, hf_fd(worker.get()));
  poll.data = &self;
  uv_poll_start(&poll, UV_READABLE, on_readable);
  uv_run(&loop, UV_RUN_DEFAULT);
  EXPECT_EQ(uv_loop_close(&loop), 0);
  EXPECT_EQ(self.connections, 70u);
  EXPECT_TRUE(self.gone);
}

TEST(WorkerSdkLoops, WorkBlocking) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  ASSERT_TRUE(supervisor.send_connections(5));
  supervisor.send_drain(1);
  hf_event event;
  unsigned connections = 0;
  for (hf_event_type type = wait_for_event(worker.get(), &event); type == HF_EVENT_CONNECTION;
       type = wait_for_event(worker.get(), &event)) {
    ++connections;
    hf_release(worker.get(), event.connection.fd);
  }
  EXPECT_EQ(event.type, HF_EVENT_DRAIN);
  EXPECT_EQ(connections, 5u);
}

TEST(WorkerSdkLoops, WakeAnIdleProgramForItsHeartbeat) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  std::uint64_t last = supervisor.page().heartbeat_ns;
  EXPECT_GT(last, 0u) << "opening is the first beat";
  int in_time = 0;
  for (int i = 0; i < 30 && in_time < 3; ++i) {  // a busy machine may itself be later than the limit of 400 ms
    ASSERT_TRUE(is_readable(worker.get(), 5000));
    hf_event event;
    ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);
    EXPECT_GT(supervisor.page().heartbeat_ns, last);
    in_time += supervisor.page().heartbeat_ns - last < 400'000'000u;
    last = supervisor.page().heartbeat_ns;
  }
  EXPECT_EQ(in_time, 3);
  expect_only_beats(worker.get());
}

TEST(WorkerSdkLoops, BeatWithinLongWork) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  const std::uint64_t last = supervisor.page().heartbeat_ns;
  hf_heartbeat(worker.get());
  EXPECT_GT(supervisor.page().heartbeat_ns, last);
}

TEST(WorkerSdkCost, NothingIsAllocatedForConnections) {
  if (HOLDFAST_SANITIZED) GTEST_SKIP() << "the sanitizer owns malloc";
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(supervisor.send_connections(64));
  const unsigned long before = allocations;
  hf_event event;
  for (int i = 0; i < 256; ++i) {
    if (hf_next(worker.get(), &event) != HF_EVENT_CONNECTION) break;
    char text[HF_ADDRESS_TEXT];
    hf_address_text(&event.connection.remote, text);
    hf_release(worker.get(), event.connection.fd);
  }
  EXPECT_EQ(allocations, before);
  EXPECT_EQ(supervisor.page().closed, 256u);
}

TEST(WorkerSdkCost, NothingIsAllocatedForConnectionsThatItAccepts) {
  if (HOLDFAST_SANITIZED) GTEST_SKIP() << "the sanitizer owns malloc";
  FakeSupervisor supervisor;
  supervisor.give_sockets({Served::ByTcp});
  const SdkWorker worker = open_worker(supervisor);
  std::vector<int> clients;
  for (int i = 0; i < 100; ++i) clients.push_back(supervisor.connect(0));
  const unsigned long before = allocations;
  EXPECT_EQ(take_all(worker.get()), 100u);
  EXPECT_EQ(allocations, before);
  for (const int client : clients) ::close(client);
}

TEST(WorkerSdkCost, AllocationsAreCounted) {
  if (HOLDFAST_SANITIZED) GTEST_SKIP() << "the sanitizer owns malloc";
  const unsigned long before = allocations;
  void* (*volatile allocate)(std::size_t) =
      &std::malloc;  // volatile: a compiler may leave out an allocation that nobody needs
  std::free(allocate(1));
  EXPECT_EQ(allocations, before + 1) << "the count does not count";
}

TEST(WorkerSdkCost, TheLibraryIsUnder100Kibibytes) {
  if (HOLDFAST_SANITIZED) GTEST_SKIP() << "instrumented code is larger";
  // What an object contributes to a program is less than its text, data and bss together.
  FILE* const size = ::popen("size -t " HOLDFAST_BIN "/../worker-sdk/libholdfast-worker.a 2>&1 | tail -n 1", "r");
  ASSERT_NE(size, nullptr);
  unsigned long text = 0, data = 0, bss = 0;
  const int read = std::fscanf(size, "%lu %lu %lu", &text, &data, &bss);
  ::pclose(size);
  ASSERT_EQ(read, 3);
  EXPECT_GT(text, 1000u);
  EXPECT_LT(text + data + bss, 100u * 1024u);
  ::testing::Test::RecordProperty("bytes", static_cast<int>(text + data + bss));
}

TEST(WorkerSdkCpp, OwnsWhatItIsGiven) {
  FakeSupervisor supervisor;
  supervisor.offer();
  std::optional<Worker> worker = Worker::open();
  ASSERT_TRUE(worker.has_value()) << Worker::error_text();
  worker->ready();
  ASSERT_TRUE(supervisor.send_connections(2));
  {
    Event event = worker->next();
    Arrival* const arrival = std::get_if<Arrival>(&event);
    ASSERT_NE(arrival, nullptr);
    EXPECT_EQ(arrival->remote().view(), "192.0.2.0:40000");
    EXPECT_EQ(worker->listeners()[arrival->about.listener].name, std::string_view("http"));
    Connection moved = std::move(arrival->connection);
    EXPECT_FALSE(arrival->connection);
    EXPECT_EQ(supervisor.page().closed, 0u);
  }
  EXPECT_EQ(supervisor.page().closed, 1u) << "leaving the scope closes and counts";
  {
    Event event = worker->next();
    const int fd = std::get<Arrival>(event).connection.detach();
    ::close(fd);
  }
  EXPECT_EQ(supervisor.page().closed, 1u);
  worker->closed(1);
  EXPECT_EQ(supervisor.page().closed, 2u);
  supervisor.send_drain(77);
  ASSERT_TRUE(worker->wait());
  Event event = worker->next();
  if (std::holds_alternative<Nothing>(event)) event = worker->next();
  ASSERT_TRUE(std::holds_alternative<Drain>(event));
  EXPECT_EQ(std::get<Drain>(event).deadline.time_since_epoch().count(), 77);
}

TEST(WorkerSdk, TagsASessionIdWithItsSlot) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  const std::string expected = "8f3a~" + std::to_string(hf_info(worker.get())->slot);
  std::array<char, 32> buffer{};
  EXPECT_EQ(hf_tag(worker.get(), "8f3a", buffer.data(), buffer.size()), static_cast<int>(expected.size()));
  EXPECT_EQ(buffer.data(), expected);
  EXPECT_EQ(hf_tag(worker.get(), "8f3a", buffer.data(), expected.size()), -ENOSPC) << "no room for the zero";
  EXPECT_EQ(hf_tag(worker.get(), "8f~3a", buffer.data(), buffer.size()), -EINVAL);
}

TEST(WorkerSdkCpp, TagsASessionIdWithItsSlot) {
  FakeSupervisor supervisor;
  supervisor.offer();
  const std::optional<Worker> worker = Worker::open();
  ASSERT_TRUE(worker.has_value()) << Worker::error_text();
  EXPECT_EQ(worker->tag("8f3a"), "8f3a~" + std::to_string(worker->info().slot));
  EXPECT_EQ(worker->tag("8f~3a"), "");
}

TEST(WorkerSdkCpp, SaysWhyItDidNotOpen) {
  const std::optional<Worker> worker = Worker::open();
  EXPECT_FALSE(worker.has_value());
  EXPECT_THAT(std::string(Worker::error_text()), ::testing::HasSubstr("holdfast run"));
}

}  // namespace
}  // namespace holdfast::test
