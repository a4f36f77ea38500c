#include "worker/set_up_watch.h"

#include <chrono>
#include <utility>

#include "sys/worker_sockets.h"

namespace holdfast {
namespace {

constexpr Duration kBetweenLooks = std::chrono::milliseconds(1);
constexpr int kLooks = 2;

}  // namespace

SetUpWatch::SetUpWatch(Loop& loop, pid_t thread, std::function<void()> on_done)
    : loop_(loop), thread_(thread), on_done_(std::move(on_done)), next_look_(loop, [this] { look(); }) {
  next_look_.arm(loop_.now() + kBetweenLooks);
}

void SetUpWatch::look() {
  asleep_ = is_asleep(thread_) ? asleep_ + 1 : 0;
  if (asleep_ == kLooks) return on_done_();
  next_look_.arm(loop_.now() + kBetweenLooks);
}

}  // namespace holdfast
