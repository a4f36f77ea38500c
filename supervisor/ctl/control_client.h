#pragma once

#include <optional>
#include <string>

#include "core/result.h"
#include "core/time.h"
#include "sys/control_path.h"
#include "wire/control_message.h"

namespace holdfast {

// Which supervisor a subcommand is for.
struct ControlChoice {
  std::optional<std::string> path;  // --control PATH: taken as it is
  std::optional<std::string> name;  // --name NAME: the socket of that name in the default directory
};

// The path of the chosen supervisor's control socket. Without a choice, the only one in the default directory that is
// alive; if there are several the error lists their names. `home` is control_home() but in tests.
[[nodiscard]] Result<std::string> find_control_path(const ControlChoice& choice, const ControlHome& home);

// Connects, asks, waits for the answer for at most `patience`. Blocking. What goes wrong on the way is a failure like
// one that the supervisor answers: the subcommand prints the error and exits with the code.
[[nodiscard]] ControlResponse ask_supervisor(const std::string& path, const ControlRequest& request, Duration patience);

}  // namespace holdfast
