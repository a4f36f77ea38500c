#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/result.h"
#include "loop/loop.h"

namespace holdfast {

// The address of a host name, asked for in a thread of libuv's, so that nothing waits. Destroying it gives up the question; not
// from inside the callback.
class Resolver {
 public:
  // `on_answer` gets a numeric address. It is called once, never from inside `start`.
  static std::unique_ptr<Resolver> start(Loop& loop, const std::string& host,
                                         std::function<void(Result<std::string>)> on_answer);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

 private:
  struct State;
  explicit Resolver(State* state) : state_(state) {}
  State* state_;  // frees itself when libuv has answered; null from then on
};

}  // namespace holdfast
