#pragma once

#include <vector>

#include "core/left_over.h"

namespace holdfast {

// The other processes of our own control group (v2), without those of groups below it. None where there is no such group, or
// /proc does not let us see.
[[nodiscard]] std::vector<ProcessFacts> others_in_own_group();

}  // namespace holdfast
