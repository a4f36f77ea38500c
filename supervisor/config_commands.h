#pragma once

#include "command_line.h"

namespace holdfast {

// The subcommands that read or write a configuration; each returns the exit code.
[[nodiscard]] int run_supervisor(const RunInvocation& invocation);
[[nodiscard]] int check_upgrade(const CheckUpgradeInvocation& invocation);
[[nodiscard]] int check_config(const CheckInvocation& invocation);
[[nodiscard]] int write_default_config(const InitInvocation& invocation);
[[nodiscard]] int import_config(const ImportInvocation& invocation);

}  // namespace holdfast
