#pragma once

#include <optional>
#include <string>

#include "core/time.h"

namespace holdfast {

// How the whole service stands, as a service manager wants to know it.
struct ServiceState {
  // Stopping: by somebody's wish. GivingUp: without hope.
  enum class Phase { Running, Reloading, Stopping, GivingUp };
  Phase phase = Phase::Running;
  bool every_pool_serves = false;  // each pool has a worker that serves
  unsigned serving = 0;            // slots with a worker that serves
  unsigned slots = 0;
  std::string trouble;  // of the last reload, in words; empty: there is none
  bool operator==(const ServiceState&) const = default;
};

// What to tell a service manager of type notify (sd_notify(3)), and when: each change once, and for as long as a start, a
// reload or a stop takes, that it may take longer. How long that is at most is decided here and not there: workers have their
// own time limits, and a start without hope ends by itself.
class ServiceNews {
 public:
  // The next message for the manager, of lines; nothing: it knows all that. `now` is CLOCK_MONOTONIC.
  [[nodiscard]] std::optional<std::string> on_state(const ServiceState& state, TimePoint now);
  // Lines to be sent every kExtensionPeriod; nothing while nothing takes long.
  [[nodiscard]] std::optional<std::string> on_period() const;

  [[nodiscard]] bool is_ready() const { return ready_; }

 private:
  [[nodiscard]] std::string status_line() const;

  std::optional<ServiceState> told_;
  bool ready_ = false;  // READY=1 was sent once
};

inline constexpr Duration kExtensionPeriod = std::chrono::seconds(5);
// Three periods: a supervisor that is late once is not given up.
inline constexpr Duration kExtension = std::chrono::seconds(15);

}  // namespace holdfast
