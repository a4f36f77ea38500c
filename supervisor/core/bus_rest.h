#pragma once

#include <algorithm>
#include <chrono>

#include "core/time.h"

namespace holdfast {

// What keeps a bus that is flooded from holding up those who connect: while clients come it has a sixth of the time, and rests for
// the others. Where little is published a message waits for a few microseconds; who floods is not read meanwhile, and leaves its
// processor to the clients.
inline constexpr int kRestForWork = 5;
inline constexpr Duration kClientsCome = std::chrono::milliseconds(10);  // so long after the last one
// More of a turn is not counted: mostly somebody else had the processor, and nobody is to wait for the bus for long.
inline constexpr Duration kLongestWork = std::chrono::microseconds(500);

// How long it is to rest after a turn in which it has worked for so long.
[[nodiscard]] constexpr Duration bus_rest(Duration worked, Duration since_client) {
  if (since_client > kClientsCome) return Duration{};
  return kRestForWork * std::min(worked, kLongestWork);
}

}  // namespace holdfast
