#pragma once

#include <functional>
#include <memory>

#include "loop/loop.h"
#include "sys/unique_fd.h"

namespace holdfast {

// Level-triggered readiness of a descriptor that somebody else owns: declare the descriptor before its watcher, so that
// the watcher goes first: closing a descriptor that is still watched would leave the loop with a number that may be
// anybody's. Watching makes the descriptor non-blocking. Nothing is watched until `watch`. Must not be destroyed from
// inside its own callback (Loop::defer); `watch` may be called there.
class FdWatcher {
 public:
  // HangUp: only that the other side, or for a listener anybody, has shut it down (EPOLLRDHUP, EPOLLHUP).
  enum class Interest { None, Readable, Writable, Both, HangUp };
  struct Ready {
    bool readable = false;  // also on hang-up and error: a read tells
    bool writable = false;
    bool hung_up = false;  // only if that is the interest
  };
  FdWatcher(Loop& loop, BorrowedFd fd, std::function<void(Ready)> on_ready);
  ~FdWatcher();
  FdWatcher(const FdWatcher&) = delete;
  FdWatcher& operator=(const FdWatcher&) = delete;

  void watch(Interest interest);  // costs an epoll_ctl only if the interest changes

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast
