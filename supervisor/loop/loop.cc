#include "loop/loop.h"

#include <optional>
#include <utility>
#include <vector>

#include "loop/uv_handle.h"

namespace holdfast {

// A turn of libuv: timers, idle, prepare, wait and descriptors, check. Deferred work runs at the idle and the check
// point, where no callback of anybody is on the stack; while there is some, the idle handle is active, and then libuv
// does not wait.
struct Loop::State {
  uv_loop_t loop{};
  UvHandle<uv_prepare_t> prepare;
  UvHandle<uv_check_t> check;
  UvHandle<uv_idle_t> idle;
  std::vector<std::function<void()>> deferred;
  mutable std::optional<TimePoint> now;  // empty until somebody asks: forgotten before and after the wait

  void run_deferred() {
    const std::vector<std::function<void()>> works = std::exchange(deferred, {});
    for (const std::function<void()>& work : works) work();
    if (deferred.empty()) uv_idle_stop(idle.get());
  }
};

Loop::Loop() : state_(std::make_unique<State>()) {
  check_uv(uv_loop_init(&state_->loop));
  uv_loop_t* const loop = &state_->loop;
  const auto make = [&]<class Handle>(UvHandle<Handle>& handle, int (*init)(uv_loop_t*, Handle*)) {
    handle = make_handle<Handle>(state_.get(), [&](Handle* raw) { return init(loop, raw); });
  };
  make(state_->prepare, uv_prepare_init);
  make(state_->check, uv_check_init);
  make(state_->idle, uv_idle_init);
  check_uv(uv_prepare_start(state_->prepare.get(), [](uv_prepare_t* handle) {
    uv_update_time(handle->loop);  // else a long callback would be added to how long libuv waits for a timer
    static_cast<State*>(handle->data)->now.reset();
  }));
  check_uv(uv_check_start(state_->check.get(), [](uv_check_t* handle) {
    auto* const state = static_cast<State*>(handle->data);
    state->run_deferred();
    state->now.reset();
  }));
}

Loop::~Loop() {
  state_->deferred.clear();  // `run` has done its part; what came later only gives back what it holds
  state_->prepare.reset();
  state_->check.reset();
  state_->idle.reset();
  uv_walk(
      &state_->loop,
      [](uv_handle_t* handle, void*) {
        if (uv_is_closing(handle) == 0) fail_check("something that watches outlived its loop");
      },
      nullptr);
  (void)uv_run(&state_->loop, UV_RUN_DEFAULT);  // only closing handles are left: it ends
  check_uv(uv_loop_close(&state_->loop));
}

void Loop::run() {
  state_->now.reset();                          // else the first timers would see the time at which we were made
  (void)uv_run(&state_->loop, UV_RUN_DEFAULT);  // whether handles are left is of no interest: ours always are
  while (!state_->deferred.empty()) state_->run_deferred();
  state_->now.reset();
}

void Loop::poll() {
  state_->now.reset();
  (void)uv_run(&state_->loop, UV_RUN_NOWAIT);
  while (!state_->deferred.empty()) state_->run_deferred();
  state_->now.reset();
}

void Loop::stop() { uv_stop(&state_->loop); }

TimePoint Loop::now() const {
  if (!state_->now) state_->now = std::chrono::steady_clock::now();
  return *state_->now;
}

void Loop::defer(std::function<void()> work) {
  state_->deferred.push_back(std::move(work));
  check_uv(
      uv_idle_start(state_->idle.get(), [](uv_idle_t* handle) { static_cast<State*>(handle->data)->run_deferred(); }));
}

uv_loop_s* Loop::raw() const { return &state_->loop; }

}  // namespace holdfast
