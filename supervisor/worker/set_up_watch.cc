#include "worker/set_up_watch.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "sys/worker_sockets.h"

namespace holdfast {
namespace {

constexpr Duration kShortestPause = std::chrono::milliseconds(1);
constexpr Duration kLongestPause = std::chrono::milliseconds(16);
constexpr int kLooks = 2;

}  // namespace

SetUpWatch::SetUpWatch(Loop& loop, pid_t thread, TimePoint deadline, std::function<void()> on_done)
    : loop_(loop),
      thread_(thread),
      deadline_(deadline),
      on_done_(std::move(on_done)),
      until_next_(kShortestPause),
      next_look_(loop, [this] { look(); }) {
  next_look_.arm(loop_.now() + until_next_);
}

void SetUpWatch::look() {
  const bool asleep = is_asleep(thread_);
  asleep_ = asleep ? asleep_ + 1 : 0;
  if (asleep_ == kLooks || loop_.now() >= deadline_) return on_done_();
  until_next_ = asleep ? kShortestPause : std::min(2 * until_next_, kLongestPause);
  next_look_.arm(std::min(loop_.now() + until_next_, deadline_));
}

}  // namespace holdfast
