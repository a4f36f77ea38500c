#pragma once

#include <optional>
#include <string>

#include "core/result.h"
#include "core/time.h"

namespace holdfast {

// The one that started us and wants to hear how we are, by sd_notify(3): the NOTIFY_SOCKET of our environment. The variable
// stays there, and no worker inherits it (sys/environment.h). A message is one datagram; where the manager is slow, sending waits.

// Whether there is one.
[[nodiscard]] bool has_service_manager();
// How often it wants to hear WATCHDOG=1 at least; nothing: never. Twice as often is right.
[[nodiscard]] std::optional<Duration> watchdog_interval();
// Lines of NAME=VALUE. That nobody listens is no error.
[[nodiscard]] Outcome tell_service_manager(const std::string& lines);

}  // namespace holdfast
