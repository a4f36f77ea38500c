#pragma once

#include <gtest/gtest.h>
#include <holdfast/worker.h>
#include <poll.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <vector>

#include "support/eventually.h"
#include "support/fake_supervisor.h"

namespace holdfast::test {

struct CloseSdkWorker {
  void operator()(hf_worker* worker) const { hf_close(worker); }
};
using SdkWorker = std::unique_ptr<hf_worker, CloseSdkWorker>;

// A worker of this process on the fake's channel.
inline SdkWorker open_worker(FakeSupervisor& supervisor, std::uint32_t flags = 0) {
  supervisor.offer();
  hf_options options{};
  options.size = sizeof options;
  options.flags = flags;
  hf_worker* worker = nullptr;
  EXPECT_EQ(hf_open(&options, &worker), 0) << hf_error_text();
  return SdkWorker(worker);
}

// Takes and releases whatever is there. Returns the number of connections; other events end it. A short batch makes
// hf_next rest once, so one HF_EVENT_NONE does not mean that the channel is empty: hf_wait does.
inline unsigned take_all(hf_worker* worker) {
  unsigned count = 0;
  do {
    hf_event event;
    while (hf_next(worker, &event) != HF_EVENT_NONE) {
      if (event.type != HF_EVENT_CONNECTION) return count;
      hf_release(worker, event.connection.fd);
      ++count;
    }
  } while (hf_wait(worker, 0) == 1);
  return count;
}

// What an SDK worker keeps free, and what it has open itself beside the sockets of its slot.
inline constexpr unsigned kReserve = 64 + 32;
inline constexpr unsigned kOwn = 4;  // channel, page, epoll, timer

// Takes connections and keeps them, until nothing more comes at once.
inline std::vector<int> take(hf_worker* worker) {
  std::vector<int> taken;
  do {
    hf_event event;
    while (hf_next(worker, &event) == HF_EVENT_CONNECTION) taken.push_back(event.connection.fd);
  } while (hf_wait(worker, 0) == 1);
  return taken;
}

// Whether the program would be woken now, or within so many milliseconds.
inline bool is_readable(const hf_worker* worker, int patience = 0) {
  pollfd waiting{hf_fd(worker), POLLIN, 0};
  return ::poll(&waiting, 1, patience) == 1;
}

// Watches for a while: the program is woken for beats, one in 100 ms with the fake's limit, and for nothing else. A spin
// would be thousands of wakes.
inline void expect_only_beats(hf_worker* worker) {
  using namespace std::chrono_literals;
  const auto start = std::chrono::steady_clock::now();
  std::chrono::nanoseconds passed{};
  int wakes = 0;
  for (; passed < 350ms; passed = std::chrono::steady_clock::now() - start) {
    ASSERT_TRUE(is_readable(worker, 5000));
    hf_event event;
    ASSERT_EQ(hf_next(worker, &event), HF_EVENT_NONE);
    ++wakes;
  }
  EXPECT_LE(wakes, passed / 100ms + 2);
}

// Blocks until an event comes, waiting long.
inline hf_event_type wait_for_event(hf_worker* worker, hf_event* event) {
  (void)eventually([&] { return hf_next(worker, event) != HF_EVENT_NONE || (hf_wait(worker, 1000), false); });
  return event->type;
}

}  // namespace holdfast::test
