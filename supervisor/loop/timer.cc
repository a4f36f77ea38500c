#include "loop/timer.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "loop/uv_handle.h"

namespace holdfast {
namespace {

// libuv counts whole milliseconds of the same clock (CLOCK_MONOTONIC, rounded down): a deadline rounded up is never
// early.
std::uint64_t tick_of(TimePoint due) {
  constexpr Duration::rep kNanosecondsPerTick = 1'000'000;
  const Duration::rep count = std::max<Duration::rep>(due.time_since_epoch().count(), 0);
  return static_cast<std::uint64_t>(count / kNanosecondsPerTick + (count % kNanosecondsPerTick != 0 ? 1 : 0));
}

}  // namespace

struct Timer::State {
  std::function<void()> on_due;
  UvHandle<uv_timer_t> handle;
};

Timer::Timer(Loop& loop, std::function<void()> on_due) : state_(std::make_unique<State>()) {
  state_->on_due = std::move(on_due);
  state_->handle =
      make_handle<uv_timer_t>(state_.get(), [&](uv_timer_t* raw) { return uv_timer_init(loop.raw(), raw); });
}

Timer::~Timer() = default;

void Timer::arm(TimePoint due) {
  uv_timer_t* const handle = state_->handle.get();
  if (due == kNever) {
    check_uv(uv_timer_stop(handle));
    return;
  }
  const std::uint64_t tick = tick_of(due);
  const std::uint64_t now = uv_now(handle->loop);  // what libuv will add it to, however old it is
  check_uv(uv_timer_start(
      handle, [](uv_timer_t* fired) { static_cast<State*>(fired->data)->on_due(); }, tick > now ? tick - now : 0, 0));
}

}  // namespace holdfast
