#pragma once

#include "core/fleet.h"
#include "wire/saved_members.h"

namespace holdfast {

// What a Fleet remembers, as members (wire/saved_members.h).

template <>
struct SavedNames<Fleet::Stop> {
  static constexpr std::array<std::string_view, 3> value = {"no", "graceful", "immediate"};
};
template <>
struct SavedNames<Fleet::WorkerEnd> {
  static constexpr std::array<std::string_view, 2> value = {"ended", "do-not-restart"};
};
template <>
struct SavedNames<Fleet::Cleaning> {
  static constexpr std::array<std::string_view, 4> value = {"not-needed", "needed", "asked", "failed"};
};
template <>
struct SavedNames<Fleet::Phase> {
  static constexpr std::array<std::string_view, 6> value = {"starting", "serving", "draining",
                                                            "ending",   "killed",  "gone"};
};
template <>
struct SavedNames<Fleet::Pause> {
  static constexpr std::array<std::string_view, 4> value = {"may-start", "backoff", "resting", "stopped"};
};

template <class Form>
void members(Form& form, Fleet::Starting& phase) {
  form("deadline", phase.deadline);
}
template <class Form>
void members(Form& form, Fleet::Serving& phase) {
  form("since", phase.since);
  form("last_heartbeat", phase.last_heartbeat);
}
template <class Form>
void members(Form& form, Fleet::Draining& phase) {
  form("deadline", phase.deadline);
  form("last_heartbeat", phase.last_heartbeat);
  form("since", phase.since);
}
template <class Form>
void members(Form& form, Fleet::Ending& phase) {
  form("deadline", phase.deadline);
}
template <class Form>
void members(Form&, Fleet::Killed&) {}
template <class Form>
void members(Form& form, Fleet::Gone& phase) {
  form("end", phase.end);
  form("at", phase.at);
}

template <class Form>
void members(Form&, Fleet::MayStart&) {}
template <class Form>
void members(Form& form, Fleet::Backoff& pause) {
  form("until", pause.until);
}
template <class Form>
void members(Form& form, Fleet::Resting& pause) {
  form("until", pause.until);
}
template <class Form>
void members(Form&, Fleet::Stopped&) {}

template <class Form>
void members(Form& form, StartLimit& limit) {
  std::deque<TimePoint> failures = limit.failures();
  form("failures", failures);
  limit = StartLimit(std::move(failures));
}

template <class Form>
void members(Form& form, Fleet::Worker& worker) {
  form("id", worker.id);
  form("generation", worker.generation);
  form("started", worker.started);
  form("ready_at", worker.ready_at);
  form("phase", worker.phase);
  form("outdated", worker.outdated);
  form("stalled", worker.stalled);
  form("unhealthy", worker.unhealthy);
  form("misbehaved", worker.misbehaved);
  form("dismissed", worker.dismissed);
  form("failed_successor", worker.failed_successor);
}

template <class Form>
void members(Form& form, Fleet::Slot& slot) {
  form("incumbent", slot.incumbent);
  form("successor", slot.successor);
  form("departing", slot.departing);
  form("pause", slot.pause);
  form("paused_generation", slot.paused_generation);
  form("failures", slot.failures);
  form("start_limit", slot.start_limit);
  form("on_probation", slot.on_probation);
  form("cleaning", slot.cleaning);
  form("drained", slot.drained);
  form("lent", slot.lent);
  form("unserved_since", slot.unserved_since);
}

template <class Form>
void members(Form& form, Fleet::Saved& fleet) {
  form("wished_size", fleet.wished_size);
  form("generation", fleet.generation);
  form("random_state", fleet.random_state);
  form("stop", fleet.stop);
  form("stop_deadline", fleet.stop_deadline);
  form("ever_ready", fleet.ever_ready);
  form("regrouping", fleet.regrouping);
  form("concluded", fleet.concluded);
  form("last_worker", fleet.last_worker);
  form("slots", fleet.slots);
}

}  // namespace holdfast
