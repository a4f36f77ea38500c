#pragma once

#include <string>

#include "command_line.h"
#include "core/time.h"
#include "wire/control_message.h"

namespace holdfast {

// One question to the supervisor that is meant. That there is none, or several, is a failure like any that it answers.
[[nodiscard]] ControlResponse ask(const ControlTarget& target, const ControlRequest& request, Duration patience);

// Says what went wrong, and answers the exit code.
[[nodiscard]] int complain(const std::string& text, int exit_code);

}  // namespace holdfast
