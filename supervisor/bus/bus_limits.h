#pragma once

#include <holdfast/bus_channel.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace holdfast {

inline constexpr std::size_t kMaxPendingCalls = 65536;

// How long a call may wait, by the milliseconds that its caller has asked for.
[[nodiscard]] inline std::chrono::milliseconds patience_of(std::int32_t milliseconds) {
  return std::chrono::milliseconds(std::clamp<std::int64_t>(milliseconds, 0, HF_BUS_LONGEST_CALL_MS));
}

}  // namespace holdfast
