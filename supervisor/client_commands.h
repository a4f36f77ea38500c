#pragma once

#include "command_line.h"

namespace holdfast {

// The subcommands that ask a running supervisor. Each prints its answer and returns the exit code.
[[nodiscard]] int run_client(const StatusInvocation& invocation);
[[nodiscard]] int run_client(const ClientsInvocation& invocation);
[[nodiscard]] int run_client(const RouteInvocation& invocation);
[[nodiscard]] int run_client(const RestartInvocation& invocation);
[[nodiscard]] int run_client(const DrainInvocation& invocation);
[[nodiscard]] int run_client(const ScaleInvocation& invocation);
[[nodiscard]] int run_client(const ReloadInvocation& invocation);
[[nodiscard]] int run_client(const PublishInvocation& invocation);
[[nodiscard]] int run_client(const TailInvocation& invocation);
[[nodiscard]] int run_client(const StopInvocation& invocation);
[[nodiscard]] int run_client(const UpgradeInvocation& invocation);
[[nodiscard]] int print_version(const VersionInvocation& invocation);

}  // namespace holdfast
