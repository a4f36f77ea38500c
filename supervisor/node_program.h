#pragma once

#include <string>
#include <vector>

#include "core/node_guess.h"

namespace holdfast {

// What can be read of the program that a command runs: its script, and the package.json that is nearest to it. Whatever
// cannot be read is left out: this is the base of a guess, and Node.js itself will say what is wrong.
[[nodiscard]] NodeProgram read_node_program(const std::vector<std::string>& command,
                                            const std::string& working_directory);

}  // namespace holdfast
