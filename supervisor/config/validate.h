#pragma once

#include <vector>

#include "config/config.h"
#include "config/origin.h"

namespace holdfast {

// What no single value shows: limits that contradict each other, names used twice, ... All mistakes, not only the
// first. Each names the values that it is about as they were given: by their options, or by the keys of the file.
[[nodiscard]] std::vector<Mistake> find_mistakes(const Config& config, const Origins& origins);

}  // namespace holdfast
