// Near the descriptor limit nothing is lost silently; with a full channel no frame is lost and nothing blocks.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <holdfast/worker.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "support/descriptor_limit.h"
#include "support/fake_supervisor.h"
#include "support/sdk_worker.h"

namespace holdfast::test {
namespace {

class WorkerSdkReserve : public ::testing::Test {
 protected:
  // Three full batches wait, and after two of them too few descriptors are free for the third.
  WorkerSdkReserve() {
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(supervisor_.send_connections(64));
    limit_.emplace(open_descriptors() + kOwn + kReserve + 100);
    worker_ = open_worker(supervisor_);
  }

  FakeSupervisor supervisor_;
  std::optional<DescriptorLimit> limit_;
  SdkWorker worker_;
};

TEST_F(WorkerSdkReserve, LeavesABatchUnreadThatMightNotFit) {
  std::vector<int> taken = take(worker_.get());
  EXPECT_EQ(taken.size(), 128u);
  EXPECT_EQ(supervisor_.page().lost, 0u);
  for (const int fd : taken) hf_release(worker_.get(), fd);
  EXPECT_TRUE(is_readable(worker_.get())) << "releases make room, and the event loop must hear of it";
  taken = take(worker_.get());
  EXPECT_EQ(taken.size(), 64u);
  for (const int fd : taken) hf_release(worker_.get(), fd);
}

TEST_F(WorkerSdkReserve, DoesNotSpinWhileItWaits) {
  const std::vector<int> taken = take(worker_.get());
  expect_only_beats(worker_.get());
  for (const int fd : taken) hf_release(worker_.get(), fd);
}

TEST_F(WorkerSdkReserve, IsWokenByAReleaseOfAnotherThread) {
  const std::vector<int> taken = take(worker_.get());
  std::thread helper([&] {
    for (const int fd : taken) hf_release(worker_.get(), fd);
  });
  hf_event event;
  EXPECT_EQ(wait_for_event(worker_.get(), &event), HF_EVENT_CONNECTION);
  helper.join();
  hf_release(worker_.get(), event.connection.fd);
  EXPECT_EQ(take_all(worker_.get()), 63u);
}

TEST_F(WorkerSdkReserve, CountsForThoseWhoDoNotReportTheirCloses) {
  for (const int fd : take(worker_.get())) ::close(fd);
  hf_event event;
  EXPECT_EQ(wait_for_event(worker_.get(), &event), HF_EVENT_CONNECTION)
      << "closes that were not reported starve the worker for ever";
  hf_release(worker_.get(), event.connection.fd);
  EXPECT_EQ(take_all(worker_.get()), 63u);
}

TEST(WorkerSdkLost, ReportsWhatTheKernelDropped) {
  FakeSupervisor supervisor;
  ASSERT_TRUE(supervisor.send_connections(10));
  const DescriptorLimit limit(open_descriptors() + kOwn + kReserve + 100);
  const SdkWorker worker = open_worker(supervisor);
  std::vector<int> own;  // of a library that the SDK knows nothing of
  for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) own.push_back(fd);
  ASSERT_EQ(errno, EMFILE);
  for (int i = 0; i < 4; ++i) {
    ::close(own.back());
    own.pop_back();
  }
  hf_event event;
  ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_ERROR);
  const std::string text = event.text;
  std::vector<int> taken = take(worker.get());
  EXPECT_EQ(taken.size(), 4u);
  EXPECT_EQ(supervisor.page().taken, 4u);
  EXPECT_EQ(supervisor.page().lost, 6u);
  EXPECT_EQ(supervisor.receive_type(), HF_FRAME_HELLO);
  EXPECT_EQ(supervisor.receive_number(HF_FRAME_LOST), 6u);

  for (const int fd : taken) hf_release(worker.get(), fd);
  ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE) << "four free descriptors are no room for a batch";
  for (const int fd : own) ::close(fd);
  // Matched only now: UndefinedBehaviorSanitizer needs descriptors of its own to look at a matcher.
  EXPECT_THAT(text, ::testing::HasSubstr("the kernel dropped 6 of them"));
  ASSERT_TRUE(supervisor.send_connections(10));
  EXPECT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_CONNECTION);
  hf_release(worker.get(), event.connection.fd);
  EXPECT_EQ(take_all(worker.get()), 9u);
  EXPECT_EQ(supervisor.page().lost, 6u);
}

TEST(WorkerSdkLost, StopsAfterTheFirstMessageWhenNoDescriptorIsFree) {
  FakeSupervisor supervisor;
  for (int i = 0; i < 2; ++i) ASSERT_TRUE(supervisor.send_connections(10));
  const DescriptorLimit limit(open_descriptors() + kOwn + kReserve + 100);
  const SdkWorker worker = open_worker(supervisor);
  std::vector<int> own;
  for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) own.push_back(fd);
  hf_event event;
  EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_ERROR);
  EXPECT_EQ(take(worker.get()).size(), 0u);
  EXPECT_EQ(supervisor.page().lost, 10u) << "the second message was read into a full process";
  for (const int fd : own) ::close(fd);
  EXPECT_EQ(wait_for_event(worker.get(), &event), HF_EVENT_CONNECTION);
  hf_release(worker.get(), event.connection.fd);
  EXPECT_EQ(take_all(worker.get()), 9u);
  EXPECT_EQ(supervisor.page().lost, 10u);
}

TEST(WorkerSdkFrames, SayTakenWhenTheSupervisorAsks) {
  FakeSupervisor supervisor;
  const SdkWorker worker = open_worker(supervisor);
  EXPECT_EQ(supervisor.receive_type(), HF_FRAME_HELLO);
  ASSERT_TRUE(supervisor.send_connections(5));
  EXPECT_EQ(take_all(worker.get()), 5u);
  EXPECT_FALSE(supervisor.has_frame());
  supervisor.page().want_taken = 1;
  ASSERT_TRUE(supervisor.send_connections(7));
  hf_event event;
  ASSERT_EQ(hf_next(worker.get(), &event), HF_EVENT_CONNECTION);
  EXPECT_EQ(supervisor.receive_number(HF_FRAME_TAKEN), 7u);
  hf_release(worker.get(), event.connection.fd);
  EXPECT_EQ(take_all(worker.get()), 6u);
}

TEST(WorkerSdkFrames, AreKeptWhileTheChannelIsFull) {
  FakeSupervisor supervisor;
  const unsigned stuffing = supervisor.fill_from_worker();
  ASSERT_GT(stuffing, 0u);
  supervisor.page().want_taken = 1;
  const SdkWorker worker = open_worker(supervisor);
  hf_ready(worker.get());
  ASSERT_TRUE(supervisor.send_connections(5));
  EXPECT_EQ(take_all(worker.get()), 5u);
  ASSERT_TRUE(supervisor.send_connections(7));
  EXPECT_EQ(take_all(worker.get()), 7u);
  for (unsigned i = 0; i < stuffing; ++i) EXPECT_EQ(supervisor.receive_type(), 999);
  EXPECT_FALSE(supervisor.has_frame());

  EXPECT_EQ(hf_wait(worker.get(), 5000), 1) << "the channel has room again, and nobody hears of it";
  hf_event event;
  EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);
  EXPECT_EQ(supervisor.receive_type(), HF_FRAME_HELLO);
  EXPECT_EQ(supervisor.receive_type(), HF_FRAME_READY);
  EXPECT_EQ(supervisor.receive_number(HF_FRAME_TAKEN), 12u);
  EXPECT_EQ(hf_wait(worker.get(), 0), 0) << "hf_fd must not stay readable because the channel is writable";

  const unsigned more_stuffing = supervisor.fill_from_worker();
  for (const unsigned count : {3u, 4u}) {
    ASSERT_TRUE(supervisor.send_connections(count));
    EXPECT_EQ(take_all(worker.get()), count);
  }
  for (unsigned i = 0; i < more_stuffing; ++i) EXPECT_EQ(supervisor.receive_type(), 999);
  EXPECT_EQ(hf_wait(worker.get(), 5000), 1);
  EXPECT_EQ(hf_next(worker.get(), &event), HF_EVENT_NONE);
  EXPECT_EQ(supervisor.receive_number(HF_FRAME_TAKEN), 7u);
}

TEST(WorkerSdkFrames, ReplaceThePageWhereThereIsNone) {
  FakeSupervisor supervisor(Page::Withheld);
  const SdkWorker worker = open_worker(supervisor);
  const auto hello = supervisor.receive();
  ASSERT_TRUE(hello.has_value());
  EXPECT_EQ(std::to_integer<int>((*hello)[12]), 0) << "no page, no flag";
  while (supervisor.has_frame()) EXPECT_EQ(supervisor.receive_type(), HF_FRAME_HEARTBEAT);
  ASSERT_TRUE(supervisor.send_connections(3));
  EXPECT_EQ(take_all(worker.get()), 3u);
  EXPECT_EQ(supervisor.receive_number(HF_FRAME_TAKEN), 3u);
  EXPECT_EQ(supervisor.receive_number(HF_FRAME_CLOSED), 3u);
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(hf_wait(worker.get(), 250), 0);
    EXPECT_EQ(supervisor.receive_type(), HF_FRAME_HEARTBEAT) << "a program that waits must beat as well";
  }
}

}  // namespace
}  // namespace holdfast::test
