#pragma once

#include <functional>
#include <memory>

#include "core/time.h"
#include "loop/loop.h"

namespace holdfast {

// One deadline. Arming it again replaces the deadline; kNever disarms it. It is never early; it may be late by the
// resolution of a millisecond. Must not be destroyed from inside its own callback (Loop::defer).
class Timer {
 public:
  Timer(Loop& loop, std::function<void()> on_due);
  ~Timer();
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

  void arm(TimePoint due);
  void disarm() { arm(kNever); }

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast
