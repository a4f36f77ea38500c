// Workers of a fleet that are started in order, or belong together.
#include <algorithm>

#include "core/fleet.h"

namespace holdfast {

namespace {

bool is_serving(const std::optional<Fleet::Worker>& worker) {
  return worker && std::holds_alternative<Fleet::Serving>(worker->phase);
}

bool is_delayed(const Fleet::Slot& slot) {
  return !slot.incumbent && !std::holds_alternative<Fleet::MayStart>(slot.pause);
}

// Nothing that time heals soon.
bool is_hopeless(const Fleet::Slot& slot) {
  return !slot.incumbent &&
         (std::holds_alternative<Fleet::Resting>(slot.pause) || std::holds_alternative<Fleet::Stopped>(slot.pause));
}

}  // namespace

// Whether those that must serve before it do.
bool Fleet::is_turn_of(const Slot& slot) const {
  if (!is_group() && policy_.start_order == StartOrder::Together) return true;
  if (regrouping_) return false;
  return std::all_of(slots_.data(), &slot, [this](const Slot& before) {
    if (leaving(before) || is_serving(before.incumbent)) return true;
    return !is_group() && is_hopeless(before);  // the others need not wait for it
  });
}

// Somebody has ended or is to be replaced: then all go, and nobody is started before the last has gone and the slot that failed may
// start again.
void Fleet::regroup(TimePoint now, Actions& actions) {
  const auto wishes = [this](const Slot& slot) {
    return !leaving(slot) && is_serving(slot.incumbent) && wants_renewal(slot);
  };
  regrouping_ = regrouping_ || std::any_of(slots_.begin(), slots_.end(), wishes);
  if (!regrouping_) return;
  bool anybody = false;
  bool delayed = false;
  for (Slot& slot : slots_) {
    if (leaving(slot)) continue;
    dismiss(slot, now, actions);
    enforce_deadlines(slot, now, actions);
    anybody = anybody || slot.incumbent || !slot.departing.empty();
    delayed = delayed || (is_delayed(slot) && slot.paused_generation == generation_ && !is_due(slot, now));
  }
  if (anybody || delayed) return;
  regrouping_ = false;
  // One clean-up is for all of them.
  bool first = true;
  for (Slot& slot : slots_) {
    if (leaving(slot)) continue;
    if (slot.cleaning == Cleaning::Needed && !first) slot.cleaning = Cleaning::NotNeeded;
    const bool asked = slot.cleaning == Cleaning::Asked;
    if (first && !asked && policy_.clean_up == CleanUp::BeforeRestart) slot.cleaning = Cleaning::Needed;
    first = false;
  }
}

// Whether a worker may be started there.
bool Fleet::clean_up(Slot& slot, Actions& actions) {
  if (slot.cleaning == Cleaning::Needed) {
    slot.cleaning = Cleaning::Asked;
    actions.push_back(CleanUpSlot{id_of(slot)});
  }
  return slot.cleaning == Cleaning::NotNeeded;
}

// It is the failure of a worker that never became ready.
void Fleet::note_failed_clean_up(Slot& slot, TimePoint now, Actions& actions) {
  if (slot.cleaning != Cleaning::Failed) return;
  slot.cleaning = Cleaning::Needed;
  Worker never;
  never.generation = generation_;
  never.phase = Gone{WorkerEnd::Ended, now};
  record_failure(slot, never, WorkerEnd::Ended, now, actions);
}

}  // namespace holdfast
