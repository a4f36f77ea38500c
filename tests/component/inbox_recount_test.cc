// An inbox whose supervisor was killed: the state that the next one has is older than the channel.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "component/kernel_fixtures.h"
#include "component/run_until.h"
#include "loop/loop.h"
#include "worker/inbox.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

class InboxRecount : public testing::Test {
 protected:
  InboxRecount() {
    Result<std::unique_ptr<Inbox>> made = Inbox::create(loop_, hooks());
    EXPECT_TRUE(made);
    inbox_ = *std::move(made);
  }
  Inbox::Hooks hooks() {
    return {[this](Inbox&, const WorkerFrame&) { heard_++; }, [this](Inbox&, const Error&) { garbage_++; }, [] {}};
  }
  void put(std::size_t count) {
    for (std::size_t i = 0; i < count; i++) {
      ConnectionRecord record{};
      record.record_length = sizeof record;
      record.id = ++last_;
      inbox_->put(Connection{copy_of(pipe_.read), record, {}});
    }
    (void)inbox_->flush();
  }
  // From here on the state is an old one.
  void save() {
    FdList fds;
    saved_ = inbox_->save(fds);
    for (const auto& [name, fd] : fds.numbers()) kept_.put(name, copy_of(BorrowedFd(fd)));
  }
  void kill_supervisor_and_start_the_next() {
    inbox_.reset();
    Result<std::unique_ptr<Inbox>> adopted = Inbox::adopt(loop_, saved_, kept_, hooks());
    ASSERT_TRUE(adopted) << adopted.error().message();
    inbox_ = *std::move(adopted);
  }
  // What the worker reads next: a number of connections, or the order to drain.
  struct Read {
    std::size_t connections = 0;
    std::optional<DrainOrder> drain;
  };
  Read worker_reads() {
    std::vector<std::byte> buffer(HF_MAX_FRAME);
    const Result<Received> received = receive_with_fds(inbox_->worker_end(), buffer);
    if (!received || received->state != Received::State::Message) return {};
    return {received->fds.size(), decode_drain(std::span(buffer).first(received->length))};
  }
  template <class Change>
  void worker_writes(Change change) {
    void* const mapped = ::mmap(nullptr, HF_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, inbox_->page_fd().get(), 0);
    ASSERT_NE(mapped, MAP_FAILED);
    change(*static_cast<hf_page*>(mapped));
    (void)::munmap(mapped, HF_PAGE_SIZE);
  }
  void worker_says_taken(std::uint64_t count) {
    worker_writes([count](hf_page& page) { page.taken += count; });
  }
  void worker_says_ready() {
    const hf_frame_header frame{HF_FRAME_READY, 0, sizeof frame};
    ASSERT_EQ(::send(inbox_->worker_end().get(), &frame, sizeof frame, 0), static_cast<ssize_t>(sizeof frame));
  }

  static UniqueFd copy_of(BorrowedFd fd) { return UniqueFd(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3)); }

  Pipe pipe_ = make_pipe();
  Loop loop_;
  std::unique_ptr<Inbox> inbox_;
  SavedInbox saved_;
  FdTable kept_;
  std::uint64_t last_ = 0;
  unsigned heard_ = 0;
  unsigned garbage_ = 0;
};

TEST_F(InboxRecount, TakesBackWhatIsUnreadAndCountsWhatWasTakenSince) {
  put(2);
  save();
  put(3);
  EXPECT_EQ(worker_reads().connections, 2U);
  EXPECT_EQ(worker_reads().connections, 3U);
  worker_says_taken(5);
  put(4);
  kill_supervisor_and_start_the_next();
  const std::vector<Connection> unread = inbox_->recount();
  ASSERT_EQ(unread.size(), 4U);
  EXPECT_EQ(unread.front().record.id, 6U);
  EXPECT_EQ(inbox_->account().taken, 5U);
  EXPECT_EQ(inbox_->account().waiting, 0U);
  put(1);
  EXPECT_EQ(inbox_->account().waiting, 1U);
  EXPECT_EQ(worker_reads().connections, 1U);
}

TEST_F(InboxRecount, TellsAWorkerToDrainThatHasNotReadItYet) {
  save();
  const DrainOrder order{TimePoint(77s), 5s};
  put(1);
  inbox_->drain(order);
  kill_supervisor_and_start_the_next();
  EXPECT_EQ(inbox_->recount().size(), 1U);
  (void)inbox_->flush();
  const Read read = worker_reads();
  ASSERT_TRUE(read.drain);
  EXPECT_EQ(read.drain->deadline, order.deadline);
  EXPECT_EQ(read.drain->spread, order.spread);
  EXPECT_FALSE(worker_reads().drain) << "it is told once";
}

TEST_F(InboxRecount, KnowsFromThePageWhatTheDeadOneHadHeard) {
  save();
  worker_writes([](hf_page& page) { page.heartbeat_ns = 1; });
  kill_supervisor_and_start_the_next();
  EXPECT_FALSE(inbox_->has_spoken());
  (void)inbox_->recount();
  EXPECT_TRUE(inbox_->has_spoken());
  EXPECT_FALSE(inbox_->is_ready());
  worker_writes([](hf_page& page) { page.ready = 1; });
  EXPECT_TRUE(inbox_->is_ready());
  // The next on this channel begins anew.
  inbox_->settle();
  EXPECT_FALSE(inbox_->is_ready());
  EXPECT_FALSE(inbox_->has_spoken());
}

TEST_F(InboxRecount, AWorkerWhoseHelloWasHeardByTheDeadOneIsHeardOn) {
  save();
  kill_supervisor_and_start_the_next();
  (void)inbox_->recount();
  worker_says_ready();
  EXPECT_TRUE(run_until(loop_, [this] { return heard_ + garbage_ > 0; }));
  EXPECT_EQ(heard_, 1U);
  EXPECT_EQ(garbage_, 0U);
}

TEST_F(InboxRecount, DoesNotTellAWorkerTwiceThatHasRead) {
  save();
  inbox_->drain(DrainOrder{TimePoint(77s), 0s});
  ASSERT_TRUE(worker_reads().drain);
  kill_supervisor_and_start_the_next();
  EXPECT_TRUE(inbox_->recount().empty());
  (void)inbox_->flush();
  EXPECT_FALSE(worker_reads().drain);
}

}  // namespace
}  // namespace holdfast
