#include "loop/signal_watcher.h"

#include <utility>

#include "loop/uv_handle.h"

namespace holdfast {

struct SignalWatcher::State {
  std::function<void(int)> on_signal;
  std::vector<UvHandle<uv_signal_t>> handles;
};

SignalWatcher::SignalWatcher(Loop& loop, const std::vector<int>& signals, std::function<void(int signal)> on_signal)
    : state_(std::make_unique<State>()) {
  state_->on_signal = std::move(on_signal);
  for (const int signal : signals) {
    UvHandle<uv_signal_t>& handle = state_->handles.emplace_back(
        make_handle<uv_signal_t>(state_.get(), [&](uv_signal_t* raw) { return uv_signal_init(loop.raw(), raw); }));
    check_uv(uv_signal_start(
        handle.get(), [](uv_signal_t* raised, int number) { static_cast<State*>(raised->data)->on_signal(number); },
        signal));
  }
}

SignalWatcher::~SignalWatcher() = default;

}  // namespace holdfast
