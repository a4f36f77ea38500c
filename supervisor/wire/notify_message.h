#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "core/time.h"

namespace holdfast {

// What a process says of itself in one datagram to its NOTIFY_SOCKET (sd_notify(3)): lines of NAME=VALUE. Lines that are
// not known, or whose value makes no sense, are as if they were not there; of a name that comes twice the first counts.
struct NotifyMessage {
  enum class Watchdog : std::uint8_t {
    None,
    Beat,    // WATCHDOG=1: it lives
    Trigger  // WATCHDOG=trigger: it wants to be treated as hung
  };

  bool is_ready = false;      // READY=1
  bool is_reloading = false;  // RELOADING=1
  bool is_stopping = false;   // STOPPING=1
  Watchdog watchdog = Watchdog::None;
  // STATUS=, for people to read: UTF-8 of at most kMaxNotifyStatus bytes, control characters as '?', so that it can be
  // printed anywhere.
  std::optional<std::string> status;
  // ERRNO=, why it fails: as the system numbers errors, 1 to 4095.
  std::optional<int> error;
  // MAINPID=: whom it calls its main process. A worker's word on another process is told, not followed.
  std::optional<std::int32_t> main_pid;
  // EXTEND_TIMEOUT_USEC=: more time for what it is doing, counted from now; at most kMaxNotifyExtension.
  std::optional<Duration> extend_timeout;

  bool operator==(const NotifyMessage&) const = default;
};

inline constexpr std::size_t kMaxNotifyDatagram = 4096;  // bytes, as with systemd
inline constexpr std::size_t kMaxNotifyStatus = 512;     // bytes
inline constexpr Duration kMaxNotifyExtension = std::chrono::hours(24);

// An error if that is no such message at all: too long, or with a NUL byte within.
[[nodiscard]] Result<NotifyMessage> parse_notify_message(std::string_view datagram);

}  // namespace holdfast
