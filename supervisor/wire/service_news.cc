#include "wire/service_news.h"

#include <chrono>
#include <utility>

namespace holdfast {

namespace {

using Phase = ServiceState::Phase;

std::string microseconds(Duration time) {
  return std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(time).count());
}

// A status is one line.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

std::optional<std::string> ServiceNews::on_state(const ServiceState& state, TimePoint now) {
  if (told_ == state) return std::nullopt;
  const Phase before = told_ ? told_->phase : Phase::Running;
  // What ends without ever having been ready has failed for the manager, and is started again: against the wish of whoever
  // told it to stop. It heeds one of the two in a message, so this is said in one of its own.
  if (state.phase == Phase::Stopping && !std::exchange(ready_, true)) return "READY=1";
  told_ = state;
  std::string lines;
  switch (state.phase) {
    case Phase::Stopping:
    case Phase::GivingUp:
      if (before < Phase::Stopping) lines += "STOPPING=1\n";
      break;
    case Phase::Reloading:
      // A reload while we start is a part of the start.
      if (ready_ && before != Phase::Reloading) {
        lines += "RELOADING=1\nMONOTONIC_USEC=" + microseconds(now.time_since_epoch()) + "\n";
      }
      break;
    case Phase::Running:
      if ((!ready_ && state.every_pool_serves) || (ready_ && before == Phase::Reloading)) {
        ready_ = true;
        lines += "READY=1\n";
      }
      break;
  }
  lines += "STATUS=" + status_line();
  return lines;
}

std::optional<std::string> ServiceNews::on_period() const {
  if (ready_ && told_ && told_->phase == Phase::Running) return std::nullopt;
  return "EXTEND_TIMEOUT_USEC=" + microseconds(kExtension);
}

std::string ServiceNews::status_line() const {
  const std::string workers = std::to_string(told_->serving) + " of " + std::to_string(told_->slots) + " workers serve";
  switch (told_->phase) {
    case Phase::Stopping:
      return "stopping: " + workers;
    case Phase::GivingUp:
      return "giving up: " + workers;
    case Phase::Reloading:
      return "reloading: " + workers;
    case Phase::Running:
      break;
  }
  const std::string state = ready_ ? workers : "starting: " + workers;
  return told_->trouble.empty() ? state : state + "; the last reload failed: " + first_line(told_->trouble);
}

}  // namespace holdfast
