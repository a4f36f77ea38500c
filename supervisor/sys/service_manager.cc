#include "sys/service_manager.h"

#include <systemd/sd-daemon.h>

#include <charconv>
#include <cstdint>

#include "sys/environment.h"

namespace holdfast {

namespace {

Outcome outcome_of(int answer, const std::string& doing) {
  if (answer < 0) return Error{std::error_code(-answer, std::generic_category()), doing};
  return Done{};
}

}  // namespace

bool has_service_manager() { return environment_variable("NOTIFY_SOCKET").has_value(); }

std::optional<Duration> watchdog_interval() {
  std::uint64_t microseconds = 0;
  if (sd_watchdog_enabled(0, &microseconds) <= 0) return std::nullopt;
  return std::chrono::microseconds(microseconds);
}

Outcome tell_service_manager(const std::string& lines) {
  return outcome_of(sd_notify(0, lines.c_str()), "tell the service manager");
}

Outcome store_descriptor(const std::string& name, BorrowedFd fd) {
  const std::string lines = "FDSTORE=1\nFDPOLL=0\nFDNAME=" + name;
  const int number = fd.get();
  return outcome_of(sd_pid_notify_with_fds(0, 0, lines.c_str(), &number, 1),
                    "have the service manager keep '" + name + "'");
}

std::optional<std::size_t> room_of_descriptor_store() {
  const std::optional<std::string> text = environment_variable("FDSTORE");
  std::size_t room = 0;
  if (!text || std::from_chars(text->data(), text->data() + text->size(), room).ec != std::errc{}) return std::nullopt;
  return room;
}

Outcome forget_descriptor(const std::string& name) {
  return outcome_of(sd_notify(0, ("FDSTOREREMOVE=1\nFDNAME=" + name).c_str()),
                    "have the service manager forget '" + name + "'");
}

}  // namespace holdfast
