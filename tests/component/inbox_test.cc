#include "worker/inbox.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <holdfast/channel.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "component/kernel_fixtures.h"
#include "component/run_until.h"
#include "loop/loop.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

// The worker's side: what a process that was started on the inbox has, in this process.
class PlayedWorker {
 public:
  explicit PlayedWorker(const Inbox& inbox) : channel_(::fcntl(inbox.worker_end().get(), F_DUPFD_CLOEXEC, 0)) {
    void* const mapped = ::mmap(nullptr, HF_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, inbox.page_fd().get(), 0);
    if (mapped == MAP_FAILED) std::abort();
    page_ = static_cast<hf_page*>(mapped);
  }
  ~PlayedWorker() { (void)::munmap(page_, HF_PAGE_SIZE); }
  PlayedWorker(const PlayedWorker&) = delete;
  PlayedWorker& operator=(const PlayedWorker&) = delete;

  [[nodiscard]] hf_page& page() { return *page_; }
  void say_hello(std::uint32_t flags = HF_HELLO_PAGE) {
    const hf_frame_hello hello{{HF_FRAME_HELLO, 0, sizeof hello}, HF_PROTOCOL_VERSION, flags, 4711};
    say(hello);
  }
  void say_number(std::uint16_t type, std::uint64_t number) {
    const hf_frame_number frame{{type, 0, sizeof frame}, number};
    say(frame);
  }
  // Reads one frame and closes the connections that came with it.
  [[nodiscard]] std::size_t read_one() {
    std::vector<std::byte> buffer(HF_MAX_FRAME);
    const Result<Received> received = receive_with_fds(channel_, buffer);
    return received && received->state == Received::State::Message ? received->fds.size() : 0;
  }
  void shut_down() { ASSERT_EQ(::shutdown(channel_.get(), SHUT_RDWR), 0); }

 private:
  template <class Frame>
  void say(const Frame& frame) {
    ASSERT_EQ(::send(channel_.get(), &frame, sizeof frame, MSG_NOSIGNAL), static_cast<ssize_t>(sizeof frame));
  }

  UniqueFd channel_;
  hf_page* page_ = nullptr;
};

class InboxTest : public testing::Test {
 protected:
  InboxTest() {
    Inbox::Hooks hooks;
    hooks.on_frame = [this](Inbox&, const WorkerFrame&) { frames_++; };
    hooks.on_garbage = [this](Inbox&, const Error& error) { garbage_.push_back(error.message()); };
    Result<std::unique_ptr<Inbox>> made = Inbox::create(loop_, std::move(hooks));
    EXPECT_TRUE(made);
    inbox_ = *std::move(made);
    worker_.emplace(*inbox_);
  }

  void put(std::size_t count) {
    for (std::size_t i = 0; i < count; i++) {
      ConnectionRecord record{};
      record.record_length = sizeof record;
      record.id = ++last_;
      inbox_->put(Connection{UniqueFd(::fcntl(pipe_.read.get(), F_DUPFD_CLOEXEC, 0)), record});
    }
    inbox_->flush();
  }
  void fill() {
    while (!inbox_->unsent()) put(1);
  }
  [[nodiscard]] std::vector<Connection> take_back_all() {
    std::vector<Connection> all;
    for (std::vector<Connection> some; !(some = inbox_->take_back_some()).empty();)
      std::move(some.begin(), some.end(), std::back_inserter(all));
    return all;
  }
  [[nodiscard]] bool hear(int frames) {
    return run_until(loop_, [&] { return frames_ >= frames; });
  }

  Pipe pipe_ = make_pipe();
  Loop loop_;
  std::unique_ptr<Inbox> inbox_;
  std::optional<PlayedWorker> worker_;
  int frames_ = 0;
  std::vector<std::string> garbage_;
  std::uint64_t last_ = 0;
};

TEST_F(InboxTest, WhatIsTakenBackComesInOrderAndWaitsNoMore) {
  put(150);
  EXPECT_EQ(inbox_->waiting(), 150u);
  const std::vector<Connection> all = take_back_all();
  ASSERT_EQ(all.size(), 150u);
  for (std::size_t i = 0; i < all.size(); i++) {
    EXPECT_TRUE(all[i].fd);
    EXPECT_EQ(all[i].record.id, i + 1);
  }
  EXPECT_EQ(inbox_->waiting(), 0u);
  EXPECT_EQ(inbox_->account().taken, 0u);
}

TEST_F(InboxTest, TakingBackFromAFullChannelLeavesTheLoopIdle) {
  fill();
  const std::uint64_t waiting = inbox_->waiting();
  EXPECT_EQ(take_back_all().size(), waiting);
  EXPECT_FALSE(spins(loop_)) << "it waits for room that there is, for ever";
}

TEST_F(InboxTest, AFullChannelGoesOnWhenTheWorkerReads) {
  fill();
  const std::uint64_t waiting = inbox_->waiting();
  std::uint64_t read = 0;
  EXPECT_TRUE(run_until(loop_, [&] {
    while (const std::size_t count = worker_->read_one()) read += count;
    return read == waiting;
  }));
  EXPECT_FALSE(inbox_->unsent());
}

// What the forked child says of it; empty if all is well. It is a process of its own because the kernel counts the
// descriptors in flight for each user, lets the privileged pass, and both are given up for good.
std::string live_with_too_many_in_flight() {
  constexpr std::size_t kLimit = 300;
  constexpr std::size_t kAtOnce = 32;
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = kLimit;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) return "cannot set the limit of open files";
  const Pipe pipe = make_pipe();
  Loop loop;
  int room = 0;
  Inbox::Hooks hooks;
  hooks.on_room = [&room] { room++; };
  Result<std::unique_ptr<Inbox>> made = Inbox::create(loop, std::move(hooks));
  if (!made) return made.error().message();
  Inbox& inbox = **made;
  PlayedWorker worker(inbox);
  std::uint64_t put = 0;
  while (!inbox.unsent() && put < 4 * kLimit) {
    for (std::size_t i = 0; i < kAtOnce; i++) {
      ConnectionRecord record{};
      record.record_length = sizeof record;
      record.id = ++put;
      inbox.put(Connection{UniqueFd(::fcntl(pipe.read.get(), F_DUPFD_CLOEXEC, 0)), record});
    }
    (void)inbox.flush();
  }
  if (!inbox.unsent()) return "the limit did not bite";
  const Result<ChannelPair> other = make_channel(0);
  const std::array<std::byte, 1> byte{};
  const std::array<int, 1> fd{pipe.read.get()};
  const Result<SendOutcome> refused = send_with_fds(other->supervisor_end, byte, fd);
  if (!refused || *refused != SendOutcome::TooManyInFlight) return "it was refused for another reason";
  if (inbox.waiting() != put) return "a refused connection does not wait";
  // The channel is writable all the time.
  if (spins(loop)) return "the loop spins";
  if (room != 0 || !inbox.unsent()) return "there is no room, and it says so";
  std::uint64_t read = 0;
  const bool all = run_until(loop, [&] {
    while (const std::size_t count = worker.read_one()) read += count;
    return read == put;
  });
  if (!all) return "what was refused did not follow: " + std::to_string(read) + " of " + std::to_string(put);
  if (inbox.unsent() || room == 0) return "that there is room again was not told";
  return "";
}

TEST_F(InboxTest, TooManyDescriptorsInFlightAreWaitedForWithoutSpinning) {
  constexpr uid_t kUser = 54321;  // nobody's, so that nobody else has descriptors in flight
  Pipe report = make_pipe();
  const pid_t child = ::fork();
  if (child == 0) {
    std::string said = "skip";
    if (::setgid(kUser) == 0 && ::setuid(kUser) == 0) said = live_with_too_many_in_flight();
    (void)!::write(report.write.get(), said.data(), said.size());
    ::_exit(0);
  }
  report.write.reset();
  const std::string said = read_all(report.read);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  if (said == "skip") GTEST_SKIP() << "needs root, to be a user who has nothing else in flight";
  EXPECT_EQ(said, "");
}

TEST_F(InboxTest, WhatTheKernelDroppedIsCountedOnceThoughPageAndFrameTellIt) {
  worker_->say_hello();
  put(5);
  EXPECT_EQ(worker_->read_one(), 5u);
  worker_->page().taken = 2;
  worker_->page().lost = 3;
  worker_->say_number(HF_FRAME_LOST, 3);
  put(4);
  ASSERT_TRUE(hear(2));
  EXPECT_EQ(inbox_->account().lost, 3u);
  EXPECT_EQ(inbox_->account().taken, 5u);
  EXPECT_EQ(inbox_->account().open, 2u);
  EXPECT_EQ(inbox_->waiting(), 4u);
  inbox_->settle();
  EXPECT_EQ(inbox_->account().lost, 3u);
  EXPECT_EQ(inbox_->waiting(), 4u);
}

TEST_F(InboxTest, AWorkerThatLiedIsCorrectedWhenItHasEnded) {
  worker_->say_hello();
  put(3);
  put(4);
  EXPECT_EQ(worker_->read_one(), 3u);
  worker_->page().taken = 1'000'000;
  EXPECT_EQ(inbox_->account().taken, 7u) << "never more than was sent";
  inbox_->settle();
  EXPECT_EQ(inbox_->account().taken, 3u);
  EXPECT_EQ(inbox_->waiting(), 4u);
  EXPECT_EQ(inbox_->account().open, 0u);
}

TEST_F(InboxTest, WhatAWorkerAcceptsByItselfIsOpenAndNoBusinessOfTheChannel) {
  worker_->say_hello();
  put(2);
  EXPECT_EQ(worker_->read_one(), 2u);
  put(3);
  worker_->page().taken = 2;
  worker_->page().accepted = 10;
  worker_->page().closed = 4;
  EXPECT_EQ(inbox_->account().accepted, 10u);
  EXPECT_EQ(inbox_->account().taken, 2u);
  EXPECT_EQ(inbox_->account().open, 8u);
  EXPECT_EQ(inbox_->waiting(), 3u);
  inbox_->settle();
  EXPECT_EQ(inbox_->account().accepted, 10u);
  EXPECT_EQ(inbox_->account().open, 0u);
  EXPECT_EQ(inbox_->waiting(), 3u);
  worker_->page().accepted = ~std::uint64_t{0};
  EXPECT_LT(inbox_->account().open, std::uint64_t{1} << 49) << "a lie makes no sum overflow";
}

TEST_F(InboxTest, AWorkerWithoutThePageTellsWhatItAcceptsInFrames) {
  worker_->say_hello(0);
  worker_->say_number(HF_FRAME_ACCEPTED, 3);
  worker_->say_number(HF_FRAME_ACCEPTED, 4);
  worker_->say_number(HF_FRAME_CLOSED, 5);
  ASSERT_TRUE(hear(4));
  EXPECT_EQ(inbox_->account().accepted, 7u);
  EXPECT_EQ(inbox_->account().open, 2u);
}

TEST_F(InboxTest, AtOurOwnLimitEachConnectionThatIsTakenBackIsStillAccountedFor) {
  put(10);
  std::vector<Connection> all;
  {
    const FewDescriptors few(3);
    all = take_back_all();
  }
  ASSERT_EQ(all.size(), 10u);
  EXPECT_EQ(std::count_if(all.begin(), all.end(), [](const Connection& c) { return static_cast<bool>(c.fd); }), 3);
  EXPECT_EQ(inbox_->waiting(), 0u);
  EXPECT_EQ(inbox_->account().taken, 0u);
}

TEST_F(InboxTest, AWorkerThatDoesNotSayHelloFirstIsNotHeard) {
  worker_->say_number(HF_FRAME_TAKEN, 1);
  worker_->say_hello();
  ASSERT_TRUE(run_until(loop_, [&] { return !garbage_.empty(); }));
  run_for(loop_, 20ms);
  EXPECT_EQ(garbage_, std::vector<std::string>{"its first frame was not HELLO"});
  EXPECT_EQ(frames_, 0);
}

TEST_F(InboxTest, AWorkerThatSaysHelloTwiceIsHeardNoMore) {
  worker_->say_hello();
  worker_->say_number(HF_FRAME_TAKEN, 1);
  worker_->say_hello();
  worker_->say_number(HF_FRAME_TAKEN, 1);
  ASSERT_TRUE(run_until(loop_, [&] { return !garbage_.empty(); }));
  run_for(loop_, 20ms);
  EXPECT_EQ(garbage_, std::vector<std::string>{"it said HELLO twice"});
  EXPECT_EQ(frames_, 2);
}

TEST_F(InboxTest, EachWorkerOfAnInboxSaysHelloOnce) {
  worker_->say_hello();
  ASSERT_TRUE(hear(1));
  inbox_->settle();
  worker_->say_hello();
  ASSERT_TRUE(hear(2));
  inbox_->settle();
  worker_->say_number(HF_FRAME_TAKEN, 1);
  EXPECT_TRUE(run_until(loop_, [&] { return !garbage_.empty(); })) << "the greeting of its predecessor is not its own";
}

TEST_F(InboxTest, AChannelThatAWorkerShutsDownIsToldOnceAndKeepsWhatItHas) {
  put(3);
  worker_->shut_down();
  EXPECT_TRUE(run_until(loop_, [&] { return !garbage_.empty(); }));
  EXPECT_TRUE(inbox_->is_shut());
  put(2);
  EXPECT_FALSE(spins(loop_)) << "the end of the channel is reported for ever";
  EXPECT_EQ(garbage_.size(), 1u);
  inbox_->settle();
  EXPECT_TRUE(inbox_->is_shut()) << "no later worker can use it either";
  EXPECT_EQ(inbox_->waiting(), 5u);
  EXPECT_EQ(take_back_all().size(), 5u);
}

}  // namespace
}  // namespace holdfast
