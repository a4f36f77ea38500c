#include "loop/fine_timer.h"

#include <sys/timerfd.h>

#include <algorithm>
#include <utility>

#include "sys/check.h"

namespace holdfast {
namespace {

// Setting a timerfd also makes it unreadable. A zero duration disarms.
void set_timerfd(BorrowedFd fd, Duration after) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(after);
  itimerspec spec{};
  spec.it_value.tv_sec = seconds.count();
  spec.it_value.tv_nsec = (after - seconds).count();
  if (::timerfd_settime(fd.get(), 0, &spec, nullptr) != 0) fail_check("set a timer to a time that is none");
}

}  // namespace

Result<std::unique_ptr<FineTimer>> FineTimer::create(Loop& loop, std::function<void()> on_due) {
  UniqueFd fd(::timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC));
  if (!fd) return last_error("create a timer");
  return std::unique_ptr<FineTimer>(new FineTimer(loop, std::move(fd), std::move(on_due)));
}

FineTimer::FineTimer(Loop& loop, UniqueFd fd, std::function<void()> on_due)
    : fd_(std::move(fd)), watcher_(loop, fd_, [this, on_due = std::move(on_due)](FdWatcher::Ready) {
        expired_ = true;
        on_due();
        if (expired_) disarm();
      }) {
  watcher_.watch(FdWatcher::Interest::Readable);
}

void FineTimer::arm(Duration after) {
  expired_ = false;
  set_timerfd(fd_, std::max(after, Duration(1)));
}

void FineTimer::disarm() {
  expired_ = false;
  set_timerfd(fd_, Duration::zero());
}

}  // namespace holdfast
