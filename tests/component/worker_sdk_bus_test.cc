// The SDK's side of the bus, with the test at the other end of the channel.
#include <gtest/gtest.h>
#include <holdfast/bus.h>
#include <holdfast/bus_channel.h>

#include <array>
#include <cstdlib>
#include <string>
#include <thread>

#include "support/sdk_worker.h"
#include "sys/fd_passing.h"
#include "wire/bus_frames.h"

namespace holdfast {
namespace {

// Reads until the worker has closed its end; answers how many messages there were.
std::size_t messages_until_closed(BorrowedFd end) {
  std::size_t messages = 0;
  std::array<std::byte, HF_BUS_MAX_FRAME> frame;
  for (;;) {
    pollfd readable{end.get(), POLLIN, 0};
    if (::poll(&readable, 1, 40'000) != 1) return messages;
    const Result<Received> received = receive_with_fds(end, frame);
    if (!received || received->state == Received::State::Closed) return messages;
    const Result<BusFrame> decoded = decode_bus_frame(std::span(frame).first(received->length));
    EXPECT_TRUE(decoded);
    if (const auto* said = std::get_if<BusMessages>(&*decoded)) messages += said->records.size();
  }
}

TEST(WorkerSdkBus, WhatWasPublishedLastGoesOutThoughTheChannelIsFull) {
  test::FakeSupervisor supervisor;
  Result<ChannelPair> channel = make_channel(0);
  ASSERT_TRUE(channel);
  ::setenv(HF_ENV_BUS, std::to_string(channel->worker_end.release()).c_str(), 1);
  test::SdkWorker worker = test::open_worker(supervisor);
  ::unsetenv(HF_ENV_BUS);
  const std::string text(1000, 'x');
  std::size_t said = 0;
  while (hf_publish(worker.get(), "a", text.data(), text.size()) == 0) said++;
  std::size_t heard = 0;
  std::thread reads([&] { heard = messages_until_closed(channel->supervisor_end); });
  worker.reset();
  reads.join();
  EXPECT_EQ(heard, said);
}

}  // namespace
}  // namespace holdfast
