#include "worker_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <variant>

namespace holdfast {

namespace {

// Lines of a dead worker's output that a report repeats; status has all that are kept.
constexpr std::size_t kReportedLines = 20;  // a stack trace tells its reason at the top

}  // namespace

std::string_view reason_text(Fleet::Why why) {
  switch (why) {
    case Fleet::Why::Drained:
      return "its time to drain is over (--drain-timeout)";
    case Fleet::Why::Hung:
      return "it gave no heartbeat (--heartbeat-timeout)";
    case Fleet::Why::NotReady:
      return "it was not ready in time (--start-timeout)";
    case Fleet::Why::Unhealthy:
      return "it fails its health checks";
    case Fleet::Why::Misbehaved:
      return "it broke the channel protocol";
    case Fleet::Why::Overdue:
      return "it did not end in time (--kill-timeout)";
    case Fleet::Why::Stopping:
      break;
  }
  return "the supervisor stops";
}

std::string_view reason_text(Recycle::Why why) {
  switch (why) {
    case Recycle::Why::Age:
      return "its age (recycle-age)";
    case Recycle::Why::Connections:
      return "the connections that it has served (recycle-connections)";
    case Recycle::Why::Memory:
      break;
  }
  return "its memory (recycle-memory)";
}

std::string_view phase_text(const Fleet::Phase& phase) {
  if (std::holds_alternative<Fleet::Starting>(phase)) return "starting";
  if (std::holds_alternative<Fleet::Serving>(phase)) return "serving";
  if (std::holds_alternative<Fleet::Draining>(phase)) return "draining";
  return "stopping";
}

std::string_view slot_text(const Fleet::Slot& slot) {
  if (slot.incumbent) return phase_text(slot.incumbent->phase);
  if (slot.drained) return "drained";
  if (std::holds_alternative<Fleet::Backoff>(slot.pause)) return "backoff";
  if (std::holds_alternative<Fleet::Resting>(slot.pause)) return "resting";
  return "stopped";
}

std::string seconds_text(Duration duration) {
  return fmt::format("{:.1f} s", std::chrono::duration<double>(duration).count());
}

std::string when_text(Duration delay) {
  return delay < std::chrono::milliseconds(50) ? "at once" : "in " + seconds_text(delay);
}

std::string quote(const std::vector<std::string>& lines) {
  std::string text;
  for (std::size_t i = lines.size() - std::min(lines.size(), kReportedLines); i < lines.size(); i++)
    text += "\n    | " + lines[i];
  return text.empty() ? text : "; it wrote last:" + text;
}

}  // namespace holdfast
