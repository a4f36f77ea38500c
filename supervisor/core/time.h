#pragma once

#include <chrono>

namespace holdfast {

// Time as the decisions see it: always an argument. The core never asks for the time; the shell does, once a turn of the loop.
using Duration = std::chrono::nanoseconds;
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

inline constexpr TimePoint kNever = TimePoint::max();

}  // namespace holdfast
