#pragma once

#include <functional>
#include <memory>

#include "core/result.h"
#include "core/time.h"
#include "loop/fd_watcher.h"
#include "sys/unique_fd.h"

namespace holdfast {

// A timer for microseconds (timerfd): libuv's own count milliseconds. One shot; arming it again is also what clears it,
// so a tick costs one system call.
class FineTimer {
 public:
  [[nodiscard]] static Result<std::unique_ptr<FineTimer>> create(Loop& loop, std::function<void()> on_due);
  void arm(Duration after);  // more than zero
  void disarm();

 private:
  FineTimer(Loop& loop, UniqueFd fd, std::function<void()> on_due);
  UniqueFd fd_;
  bool expired_ = false;  // due and not set again since: the descriptor is still readable
  FdWatcher watcher_;
};

}  // namespace holdfast
