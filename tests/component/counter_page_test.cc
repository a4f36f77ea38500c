#include "sys/counter_page.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <holdfast/channel.h>
#include <sys/mman.h>
#include <unistd.h>

#include <utility>

#include "component/kernel_fixtures.h"
#include "sys/sockets.h"

namespace holdfast {
namespace {

// The page as a worker maps it.
class WorkerView {
 public:
  explicit WorkerView(const CounterPage& page)
      : page_(static_cast<hf_page*>(
            ::mmap(nullptr, HF_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, page.fd().get(), 0))) {}
  ~WorkerView() { ::munmap(page_, HF_PAGE_SIZE); }
  WorkerView(const WorkerView&) = delete;
  WorkerView& operator=(const WorkerView&) = delete;
  hf_page* operator->() const { return page_; }

 private:
  hf_page* page_;
};

CounterPage make_page() {
  Result<CounterPage> page = CounterPage::create();
  if (!page) std::abort();
  return *std::move(page);
}

constexpr TimePoint kNow{std::chrono::seconds(100)};

TEST(CounterPage, ShowsWhatTheWorkerCounts) {
  const CounterPage page = make_page();
  const WorkerView worker(page);
  EXPECT_EQ(worker->magic, HF_PAGE_MAGIC);
  EXPECT_EQ(worker->version, HF_PROTOCOL_VERSION);
  worker->taken = 7;
  worker->closed = 3;
  worker->lost = 1;
  worker->accepted = 5;
  EXPECT_EQ(page.taken(), 7U);
  EXPECT_EQ(page.accepted(), 5U);
  EXPECT_EQ(page.closed(), 3U);
  EXPECT_EQ(page.lost(), 1U);
}

TEST(CounterPage, AHeartbeatIsNeverLaterThanNow) {
  const CounterPage page = make_page();
  const WorkerView worker(page);
  EXPECT_EQ(page.heartbeat(kNow), TimePoint{});
  worker->heartbeat_ns = 5'000'000'000U;
  EXPECT_EQ(page.heartbeat(kNow), TimePoint(std::chrono::seconds(5)));
  worker->heartbeat_ns = ~std::uint64_t{0};
  EXPECT_EQ(page.heartbeat(kNow), kNow);
}

TEST(CounterPage, TellsTheWorkerWhetherItsReportsAreWanted) {
  CounterPage page = make_page();
  const WorkerView worker(page);
  EXPECT_EQ(worker->want_taken, 0U);
  page.want_taken(true);
  EXPECT_EQ(worker->want_taken, 1U);
  page.want_taken(false);
  EXPECT_EQ(worker->want_taken, 0U);
}

TEST(CounterPage, ResetClearsTheFieldsOfTheWorkerOnly) {
  CounterPage page = make_page();
  const WorkerView worker(page);
  worker->heartbeat_ns = worker->taken = worker->closed = worker->lost = worker->accepted = 9;
  page.want_taken(true);
  page.reset();
  EXPECT_EQ(page.taken() + page.accepted() + page.closed() + page.lost(), 0U);
  EXPECT_EQ(page.heartbeat(kNow), TimePoint{});
  EXPECT_EQ(worker->want_taken, 1U);
  EXPECT_EQ(worker->magic, HF_PAGE_MAGIC);
}

TEST(CounterPage, AWorkerCanNeitherShrinkNorGrowIt) {
  const CounterPage page = make_page();
  EXPECT_EQ(::ftruncate(page.fd().get(), 0), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::ftruncate(page.fd().get(), 2 * HF_PAGE_SIZE), -1);
  EXPECT_EQ(errno, EPERM);
  EXPECT_EQ(::fcntl(page.fd().get(), F_ADD_SEALS, F_SEAL_WRITE), -1);
  EXPECT_EQ(page.taken(), 0U);
}

TEST(CounterPage, MovesWithoutLeaking) {
  const std::uint64_t before = open_file_count();
  {
    CounterPage first = make_page();
    CounterPage second = std::move(first);
    CounterPage third = make_page();
    third = std::move(second);
    const WorkerView worker(third);
    worker->taken = 4;
    EXPECT_EQ(third.taken(), 4U);
  }
  EXPECT_EQ(open_file_count(), before);
}

}  // namespace
}  // namespace holdfast
