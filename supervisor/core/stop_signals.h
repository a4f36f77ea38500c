#pragma once

#include "core/time.h"

namespace holdfast {

// Signals to stop that follow each other so closely are one wish: timeout(1) signals the process and then its group, and
// a terminal and the shell in it may both pass Ctrl-C on. Nobody presses a key twice, or changes their mind, in that time.
inline constexpr Duration kOneWish = std::chrono::milliseconds(100);

// Whether a signal to stop at `now`, after a first one, asks for more than that did.
[[nodiscard]] constexpr bool is_second_signal(TimePoint first, TimePoint now) { return now - first >= kOneWish; }

}  // namespace holdfast
