#pragma once

#include <functional>
#include <memory>

#include "core/time.h"

struct uv_loop_s;

namespace holdfast {

// One thread, one loop (libuv). Everything that watches belongs to a Loop and must be destroyed before it.
class Loop {
 public:
  Loop();
  ~Loop();  // closes what is left and checks that nothing leaked
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  // Runs until `stop`.
  void run();
  void stop();
  // Does what is to be done now, without waiting for more: while `run` is not under way.
  void poll();
  // The time of this turn: asked once a turn, CLOCK_MONOTONIC.
  [[nodiscard]] TimePoint now() const;
  // Runs `work` after the callback that is running now has returned: the way to destroy a watcher from inside its own
  // callback.
  void defer(std::function<void()> work);

  [[nodiscard]] uv_loop_s* raw() const;  // for the classes of loop/ only

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast
