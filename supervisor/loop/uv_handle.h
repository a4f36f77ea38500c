#pragma once

#include <uv.h>

#include <memory>

#include "sys/check.h"

namespace holdfast {

// libuv lets go of a handle only in a later turn of the loop, so the handle lives on the heap and frees itself there.
// Its owner may go at any time outside a callback of the handle. For the .cc files of loop/ only.
template <class Handle>
struct CloseHandle {
  void operator()(Handle* handle) const noexcept {
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* closed) { delete reinterpret_cast<Handle*>(closed); });
  }
};
template <class Handle>
using UvHandle = std::unique_ptr<Handle, CloseHandle<Handle>>;

// A handle that `init` (a call of uv_timer_init ...) accepts. A refusal is a mistake of ours or the end of memory.
template <class Handle, class Init>
UvHandle<Handle> make_handle(void* owner, Init init) {
  auto raw = std::make_unique<Handle>();
  if (const int error = init(raw.get()); error != 0) fail_check(uv_strerror(error));
  raw->data = owner;
  return UvHandle<Handle>(raw.release());
}

inline void check_uv(int error) {
  if (error != 0) fail_check(uv_strerror(error));
}

}  // namespace holdfast
