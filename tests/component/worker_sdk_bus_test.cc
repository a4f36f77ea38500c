// The SDK's side of the bus, with the test at the other end of the channel.
#include <gtest/gtest.h>
#include <holdfast/bus.h>
#include <holdfast/bus_channel.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

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

// A worker on the bus, and the other end of its channel.
test::SdkWorker open_on_the_bus(test::FakeSupervisor& supervisor, ChannelPair& channel) {
  ::setenv(HF_ENV_BUS, std::to_string(channel.worker_end.release()).c_str(), 1);
  test::SdkWorker worker = test::open_worker(supervisor);
  ::unsetenv(HF_ENV_BUS);
  return worker;
}

TEST(WorkerSdkBus, WhatWasPublishedLastGoesOutThoughTheChannelIsFull) {
  test::FakeSupervisor supervisor;
  Result<ChannelPair> channel = make_channel(0);
  ASSERT_TRUE(channel);
  test::SdkWorker worker = open_on_the_bus(supervisor, *channel);
  const std::string text(1000, 'x');
  std::size_t said = 0;
  while (hf_publish(worker.get(), "a", text.data(), text.size()) == 0) said++;
  std::size_t heard = 0;
  std::thread reads([&] { heard = messages_until_closed(channel->supervisor_end); });
  worker.reset();
  reads.join();
  EXPECT_EQ(heard, said);
}

// Makes room, as a supervisor does that takes what the worker has said; answers how many frames.
std::size_t read_everything(BorrowedFd end) {
  std::size_t frames = 0;
  std::array<std::byte, HF_BUS_MAX_FRAME> frame;
  for (;; frames++) {
    const Result<Received> received = receive_with_fds(end, frame);
    if (!received || received->state != Received::State::Message) return frames;
  }
}

// What was gathered goes out by itself when there is room, maybe in the very moment in which the program begins to wait; it has
// more to say, and would wait for ever.
TEST(WorkerSdkBus, WhoeverWasRefusedHearsOfRoomThoughNothingIsLeftToSend) {
  test::FakeSupervisor supervisor;
  Result<ChannelPair> channel = make_channel(0);
  ASSERT_TRUE(channel);
  const test::SdkWorker worker = open_on_the_bus(supervisor, *channel);
  const std::string text(1000, 'x');
  const auto say = [&] { return hf_publish(worker.get(), "a", text.data(), text.size()); };
  hf_event event{};
  for (int round = 0; round < 3; round++) {
    int status = 0;
    while (status == 0) status = say();
    ASSERT_EQ(status, -EAGAIN);
    EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE) << "there is no room";
    EXPECT_GT(read_everything(channel->supervisor_end), 1u);
    EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE) << "here it goes out";
    EXPECT_EQ(read_everything(channel->supervisor_end), 1u);
    if (round == 1) {
      EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE) << "nobody asked hf_fd before";
    }
    EXPECT_EQ(hf_wait(worker.get(), 40'000), 1);
    EXPECT_EQ(hf_wait(worker.get(), 0), 0) << "whoever does not go on is not told for ever";
    EXPECT_EQ(say(), 0);
  }
}

// It may have more to say than that.
TEST(WorkerSdkBus, WhoeverWasRefusedHearsOfRoomThoughHeSaidSomethingSmallerMeanwhile) {
  test::FakeSupervisor supervisor;
  Result<ChannelPair> channel = make_channel(0);
  ASSERT_TRUE(channel);
  const test::SdkWorker worker = open_on_the_bus(supervisor, *channel);
  const std::string large(50'000, 'x');
  const auto say = [&](std::size_t size) { return hf_publish(worker.get(), "a", large.data(), size); };
  const auto subscribe = [&] { return hf_subscribe(worker.get(), "a", HF_ONLY_NEW); };
  hf_event event{};
  for (const bool by_subscription : {false, true}) {
    int status = 0;
    while (status == 0) status = say(large.size());
    ASSERT_EQ(status, -EAGAIN);
    if (!by_subscription) {
      EXPECT_EQ(say(10), 0) << "it fits beside what waits";
    }
    EXPECT_GT(read_everything(channel->supervisor_end), 1u);
    if (by_subscription) {
      EXPECT_EQ(subscribe(), 0);
    }
    EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);
    (void)read_everything(channel->supervisor_end);
    EXPECT_EQ(hf_wait(worker.get(), 40'000), 1);
    EXPECT_EQ(hf_wait(worker.get(), 0), 0);
  }
}

TEST(WorkerSdkBus, ASubscriptionThatWasRefusedIsTriedAgainWhenThereIsRoom) {
  test::FakeSupervisor supervisor;
  Result<ChannelPair> channel = make_channel(0);
  ASSERT_TRUE(channel);
  const test::SdkWorker worker = open_on_the_bus(supervisor, *channel);
  int status = 0;
  while (status == 0) status = hf_subscribe(worker.get(), "a", HF_ONLY_NEW);
  ASSERT_EQ(status, -EAGAIN);
  (void)read_everything(channel->supervisor_end);
  EXPECT_EQ(hf_wait(worker.get(), 40'000), 1);
  EXPECT_EQ(hf_subscribe(worker.get(), "a", HF_ONLY_NEW), 0);
}

// What a newer supervisor may write behind the pools is not looked at.
TEST(WorkerSdkBus, OfAListOfPoolsOnlyThePoolsAreKept) {
  test::FakeSupervisor supervisor;
  Result<ChannelPair> channel = make_channel(0);
  ASSERT_TRUE(channel);
  const test::SdkWorker worker = open_on_the_bus(supervisor, *channel);
  ASSERT_EQ(hf_bus_flush(worker.get()), 0);
  std::vector<std::byte> frame = encode_bus_members({{"main", 0, {true, false, true}, false}}).at(0);
  const std::vector<std::byte> behind = encode_bus_members({{"other", 0, {true}, false}}).at(0);
  frame.insert(frame.end(), behind.begin() + sizeof(hf_frame_header), behind.end());
  const auto length = static_cast<std::uint32_t>(frame.size());
  std::memcpy(frame.data() + offsetof(hf_frame_header, length), &length, sizeof length);
  const Result<SendOutcome> sent = send_with_fds(channel->supervisor_end, frame, {});
  ASSERT_TRUE(sent && *sent == SendOutcome::Sent);
  ASSERT_EQ(hf_wait(worker.get(), 40'000), 1);
  hf_event event{};
  ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_MEMBERS);
  std::array<hf_member, 8> members{};
  EXPECT_EQ(hf_members(worker.get(), "main", members.data(), members.size()), 2);
  EXPECT_EQ(hf_members(worker.get(), "other", members.data(), members.size()), 0) << "and nothing is found behind them";
}

}  // namespace
}  // namespace holdfast
