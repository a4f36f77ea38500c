#pragma once

#include <string>

#include "core/result.h"

namespace holdfast {

// Whether `command` can be executed: a path as it stands (relative to `working_directory` if that is not empty), a
// plain name in PATH. Errors: ENOENT (not found, or the directory is missing) and EACCES (not executable), in words for
// the person who typed the command.
[[nodiscard]] Outcome check_program(const std::string& command, const std::string& working_directory);

}  // namespace holdfast
