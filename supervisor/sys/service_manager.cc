#include "sys/service_manager.h"

#include <systemd/sd-daemon.h>

#include <cstdint>

#include "sys/environment.h"

namespace holdfast {

bool has_service_manager() { return environment_variable("NOTIFY_SOCKET").has_value(); }

std::optional<Duration> watchdog_interval() {
  std::uint64_t microseconds = 0;
  if (sd_watchdog_enabled(0, &microseconds) <= 0) return std::nullopt;
  return std::chrono::microseconds(microseconds);
}

Outcome tell_service_manager(const std::string& lines) {
  const int answer = sd_notify(0, lines.c_str());
  if (answer < 0) return Error{std::error_code(-answer, std::generic_category()), "tell the service manager"};
  return Done{};
}

}  // namespace holdfast
