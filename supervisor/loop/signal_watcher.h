#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "loop/loop.h"

namespace holdfast {

// Reports signals as events of the loop.
class SignalWatcher {
 public:
  SignalWatcher(Loop& loop, const std::vector<int>& signals, std::function<void(int signal)> on_signal);
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace holdfast
