#pragma once

#include <deque>

#include "core/time.h"
#include "listener/listener.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sys/unique_fd.h"

namespace holdfast {

// Refuses clients of HTTP with an answer in the place of a reset. Each is kept for a second, so that the answer arrives before the
// close; so many at most, and beyond that the oldest is closed earlier.
class Farewell {
 public:
  explicit Farewell(Loop& loop);

  // 503 where we have no room; 429 where the source may try again; both with Retry-After: after `wait`, a second at least. Else 403.
  void say(UniqueFd fd, Refusal refusal, Duration wait = {});
  // Whether nobody is kept.
  [[nodiscard]] bool is_over() const { return leaving_.empty(); }

 private:
  struct Leaving {
    UniqueFd fd;
    TimePoint until;
  };
  void on_due();

  Loop& loop_;
  std::deque<Leaving> leaving_;
  Timer timer_;
};

}  // namespace holdfast
