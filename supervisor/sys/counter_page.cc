#include "sys/counter_page.h"

#include <endian.h>
#include <fcntl.h>
#include <holdfast/channel.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <utility>

namespace holdfast {
namespace {

// Words of the page are little-endian and written by another process at any moment. Nothing else is ordered by them.
std::uint64_t load(std::uint64_t& word) {
  return le64toh(std::atomic_ref<std::uint64_t>(word).load(std::memory_order_relaxed));
}
void store(std::uint64_t& word, std::uint64_t value) {
  std::atomic_ref<std::uint64_t>(word).store(htole64(value), std::memory_order_relaxed);
}

}  // namespace

Result<CounterPage> CounterPage::create() {
  const char* const doing = "create a counter page";
  UniqueFd fd(::memfd_create("holdfast-page", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return last_error(doing);
  if (::ftruncate(fd.get(), HF_PAGE_SIZE) != 0) return last_error(doing);
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) return last_error(doing);
  Result<CounterPage> page = map(std::move(fd), doing);
  if (!page) return page;
  store(page->page_->magic, HF_PAGE_MAGIC);
  store(page->page_->version, HF_PROTOCOL_VERSION);
  return page;
}

Result<CounterPage> CounterPage::adopt(UniqueFd fd) {
  const char* const doing = "take over a counter page";
  struct stat file {};
  if (::fstat(fd.get(), &file) != 0) return last_error(doing);
  const int seals = ::fcntl(fd.get(), F_GET_SEALS);
  if (file.st_size != HF_PAGE_SIZE || seals < 0 || (seals & F_SEAL_SHRINK) == 0) {
    return Error{std::make_error_code(std::errc::invalid_argument), doing};
  }
  return map(std::move(fd), doing);
}

Result<CounterPage> CounterPage::map(UniqueFd fd, const char* doing) {
  void* const mapped = ::mmap(nullptr, HF_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  if (mapped == MAP_FAILED) return last_error(doing);
  return CounterPage(std::move(fd), static_cast<hf_page*>(mapped));
}

CounterPage::CounterPage(UniqueFd fd, hf_page* page) : fd_(std::move(fd)), page_(page) {}

CounterPage::CounterPage(CounterPage&& other) noexcept
    : fd_(std::move(other.fd_)), page_(std::exchange(other.page_, nullptr)) {}

CounterPage& CounterPage::operator=(CounterPage&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(page_, other.page_);
  return *this;
}

CounterPage::~CounterPage() {
  if (page_ != nullptr) (void)::munmap(page_, HF_PAGE_SIZE);  // cannot fail for a mapping of ours
}

std::uint64_t CounterPage::taken() const { return load(page_->taken); }
std::uint64_t CounterPage::accepted() const { return load(page_->accepted); }
std::uint64_t CounterPage::closed() const { return load(page_->closed); }
std::uint64_t CounterPage::lost() const { return load(page_->lost); }

bool CounterPage::ready() const { return load(page_->ready) != 0; }

TimePoint CounterPage::heartbeat(TimePoint now) const {
  const std::uint64_t limit = static_cast<std::uint64_t>(std::max<Duration::rep>(now.time_since_epoch().count(), 0));
  return TimePoint(Duration(static_cast<Duration::rep>(std::min(load(page_->heartbeat_ns), limit))));
}

void CounterPage::want_taken(bool wanted) { store(page_->want_taken, wanted ? 1 : 0); }

void CounterPage::reset() {
  for (std::uint64_t* word :
       {&page_->heartbeat_ns, &page_->taken, &page_->closed, &page_->lost, &page_->accepted, &page_->ready}) {
    store(*word, 0);
  }
}

}  // namespace holdfast
