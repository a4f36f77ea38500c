#pragma once

#include <string_view>

namespace holdfast {

// Writes what the user asked for, to the last byte, and answers the exit code: an answer that did not arrive (a full
// disk, a reader that has gone) is a failure, and standard error says why.
[[nodiscard]] int print(std::string_view text);

}  // namespace holdfast
