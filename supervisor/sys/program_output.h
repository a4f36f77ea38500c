#pragma once

#include <string>
#include <vector>

#include "core/result.h"

namespace holdfast {

// Runs a program to its end, without a shell, and answers what it has written to its standard output; its errors go where ours
// do. An error if it cannot be started, or does not end with 0. For the subcommands: it waits.
[[nodiscard]] Result<std::string> output_of(const std::vector<std::string>& command);

}  // namespace holdfast
