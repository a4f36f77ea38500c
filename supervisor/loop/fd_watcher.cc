#include "loop/fd_watcher.h"

#include <utility>

#include "loop/uv_handle.h"

namespace holdfast {
namespace {

int events_of(FdWatcher::Interest interest) {
  switch (interest) {
    case FdWatcher::Interest::None:
      return 0;
    case FdWatcher::Interest::Readable:
      return UV_READABLE;
    case FdWatcher::Interest::Writable:
      return UV_WRITABLE;
    case FdWatcher::Interest::Both:
      return UV_READABLE | UV_WRITABLE;
    case FdWatcher::Interest::HangUp:
      return UV_DISCONNECT;
  }
  return 0;
}

}  // namespace

struct FdWatcher::State {
  std::function<void(Ready)> on_ready;
  UvHandle<uv_poll_t> handle;
  Interest interest = Interest::None;

  void start() { check_uv(uv_poll_start(handle.get(), events_of(interest), &State::on_event)); }

  static void on_event(uv_poll_t* handle, int status, int events) {
    auto* const state = static_cast<State*>(handle->data);
    if (status == 0) {
      state->on_ready(Ready{(events & UV_READABLE) != 0, (events & UV_WRITABLE) != 0, (events & UV_DISCONNECT) != 0});
      return;
    }
    // An error stands on the descriptor: libuv has stopped watching. Whoever reads or writes now is told which; who
    // does neither hears of it again, as with everything that is level-triggered.
    const int interest = events_of(state->interest);
    state->on_ready(Ready{true, (interest & UV_WRITABLE) != 0, (interest & UV_DISCONNECT) != 0});
    if (state->interest != Interest::None && uv_is_active(reinterpret_cast<uv_handle_t*>(handle)) == 0) state->start();
  }
};

FdWatcher::FdWatcher(Loop& loop, BorrowedFd fd, std::function<void(Ready)> on_ready)
    : state_(std::make_unique<State>()) {
  state_->on_ready = std::move(on_ready);
  state_->handle =
      make_handle<uv_poll_t>(state_.get(), [&](uv_poll_t* raw) { return uv_poll_init(loop.raw(), raw, fd.get()); });
}

FdWatcher::~FdWatcher() = default;

void FdWatcher::watch(Interest interest) {
  if (interest == state_->interest) return;
  state_->interest = interest;
  if (interest == Interest::None) {
    check_uv(uv_poll_stop(state_->handle.get()));
  } else {
    state_->start();
  }
}

}  // namespace holdfast
