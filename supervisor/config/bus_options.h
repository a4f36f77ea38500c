#pragma once

#include <vector>

#include "config/options.h"

namespace holdfast {

// The rows of the one table (config/options.h) that are about the bus.
[[nodiscard]] std::vector<Option> bus_options();

}  // namespace holdfast
