#include "loop/background.h"

#include <uv.h>

#include <utility>

#include "loop/uv_handle.h"

namespace holdfast {

struct Background::State {
  uv_work_t request{};
  std::function<void()> work;
  std::function<void()> then;
  Background* owner = nullptr;  // none: nobody waits any more

  static void run(uv_work_t* request) { static_cast<State*>(request->data)->work(); }
  static void end(uv_work_t* request, int) {
    const std::unique_ptr<State> state(static_cast<State*>(request->data));
    if (state->owner == nullptr) return;
    std::exchange(state->owner, nullptr)->state_ = nullptr;
    state->then();
  }
};

std::unique_ptr<Background> Background::start(Loop& loop, std::function<void()> work, std::function<void()> then) {
  auto state = std::make_unique<State>();
  state->work = std::move(work);
  state->then = std::move(then);
  state->request.data = state.get();
  check_uv(uv_queue_work(loop.raw(), &state->request, &State::run, &State::end));
  auto background = std::unique_ptr<Background>(new Background(state.get()));
  state.release()->owner = background.get();
  return background;
}

Background::~Background() {
  if (state_ == nullptr) return;
  state_->owner = nullptr;
  (void)uv_cancel(reinterpret_cast<uv_req_t*>(&state_->request));  // one that has begun goes on
}

}  // namespace holdfast
