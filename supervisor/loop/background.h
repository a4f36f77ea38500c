#pragma once

#include <functional>
#include <memory>

#include "loop/loop.h"

namespace holdfast {

// Work that takes long, or waits for a disk, in a thread of libuv's, so that the loop goes on meanwhile. The work shares nothing
// with anybody until it is done. Destroying this gives up what comes after it; the work itself, once begun, is done all the same.
class Background {
 public:
  // `then` is called once when `work` is done, from the loop, and never from inside `start`. It may destroy this.
  static std::unique_ptr<Background> start(Loop& loop, std::function<void()> work, std::function<void()> then);
  ~Background();
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

 private:
  struct State;
  explicit Background(State* state) : state_(state) {}
  State* state_;  // frees itself when the work is done; null from then on
};

}  // namespace holdfast
