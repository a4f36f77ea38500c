#pragma once

#include <gtest/gtest.h>
#include <holdfast/worker.h>

#include <memory>

#include "support/fake_supervisor.h"

namespace holdfast::test {

struct CloseSdkWorker {
  void operator()(hf_worker* worker) const { hf_close(worker); }
};
using SdkWorker = std::unique_ptr<hf_worker, CloseSdkWorker>;

// A worker of this process on the fake's channel.
inline SdkWorker open_worker(FakeSupervisor& supervisor) {
  supervisor.offer();
  hf_worker* worker = nullptr;
  EXPECT_EQ(hf_open(nullptr, &worker), 0) << hf_error_text();
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

// Blocks until an event comes, up to five seconds.
inline hf_event_type wait_for_event(hf_worker* worker, hf_event* event) {
  while (hf_next(worker, event) == HF_EVENT_NONE)
    if (hf_wait(worker, 5000) != 1) return HF_EVENT_NONE;
  return event->type;
}

}  // namespace holdfast::test
