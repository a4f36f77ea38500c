#pragma once

#include <string>
#include <variant>
#include <vector>

#include "core/fleet.h"

namespace holdfast {

// What a fleet answers, in words: a test that fails shows them, and a test that passes reads like the log.
struct FleetText {
  static std::string slot(SlotId id) { return "slot " + std::to_string(id.value); }
  static std::string worker(WorkerId id) { return "worker " + std::to_string(id.value); }

  static std::string signal(Fleet::Signal signal) {
    switch (signal) {
      case Fleet::Signal::Terminate:
        return "TERM";
      case Fleet::Signal::Abort:
        return "ABRT";
      case Fleet::Signal::Kill:
        return "KILL";
    }
    return "?";
  }

  static std::string why(Fleet::Why why) {
    switch (why) {
      case Fleet::Why::Drained:
        return "drained";
      case Fleet::Why::Hung:
        return "hung";
      case Fleet::Why::NotReady:
        return "not ready";
      case Fleet::Why::Unhealthy:
        return "unhealthy";
      case Fleet::Why::Misbehaved:
        return "misbehaved";
      case Fleet::Why::Overdue:
        return "overdue";
      case Fleet::Why::Stopping:
        return "stopping";
    }
    return "?";
  }

  std::string operator()(const Fleet::StartWorker& a) const {
    return "start " + worker(a.worker) + " in " + slot(a.slot) +
           (a.role == Fleet::Role::Successor ? " as successor" : "") + " of generation " +
           std::to_string(a.generation.value);
  }
  std::string operator()(const Fleet::CleanUpSlot& a) const { return "clean up " + slot(a.slot); }
  std::string operator()(const Fleet::Promote& a) const {
    return "promote " + worker(a.worker) + " in " + slot(a.slot) +
           (a.predecessor ? " after " + worker(*a.predecessor) : "");
  }
  std::string operator()(const Fleet::DrainWorker& a) const { return "drain " + worker(a.worker); }
  std::string operator()(const Fleet::SignalWorker& a) const {
    return signal(a.signal) + " to " + worker(a.worker) + ": " + why(a.why);
  }
  std::string operator()(const Fleet::LendBuckets& a) const { return "lend " + slot(a.slot); }
  std::string operator()(const Fleet::ReturnBuckets& a) const { return "return " + slot(a.slot); }
  std::string operator()(const Fleet::RemoveSlot& a) const { return "remove " + slot(a.slot); }
  std::string operator()(const Fleet::DelayStart& a) const {
    return "delay " + slot(a.slot) + " after failure " + std::to_string(a.failures);
  }
  std::string operator()(const Fleet::RestSlot& a) const { return "rest " + slot(a.slot); }
  std::string operator()(const Fleet::StopSlot& a) const { return "stop " + slot(a.slot); }
  std::string operator()(const Fleet::AbandonRenewal& a) const { return "abandon renewal of " + slot(a.slot); }
  std::string operator()(const Fleet::GiveUp&) const { return "give up"; }
  std::string operator()(const Fleet::Finished&) const { return "finished"; }
};

inline std::string text_of(const Fleet::Action& action) { return std::visit(FleetText{}, action); }

inline std::vector<std::string> texts_of(const std::vector<Fleet::Action>& actions) {
  std::vector<std::string> texts;
  for (const Fleet::Action& action : actions) texts.push_back(text_of(action));
  return texts;
}

}  // namespace holdfast
