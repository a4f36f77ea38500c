#pragma once

#include <vector>

#include "config/options.h"

namespace holdfast {

// The rows of the one table (config/options.h) that are about the front door: who a client is, which pool he is for, by what he is
// placed, and whether he is let in.
[[nodiscard]] std::vector<Option> front_options();

}  // namespace holdfast
