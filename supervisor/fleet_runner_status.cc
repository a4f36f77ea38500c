#include <algorithm>

#include "config/values.h"
#include "fleet_runner.h"
#include "worker_texts.h"

namespace holdfast {

WorkerStatus FleetRunner::describe_worker(const Fleet::Worker& worker, const Occupant* occupant) const {
  const TimePoint now = loop_.now();
  WorkerStatus answer;
  answer.state = phase_text(worker.phase);
  answer.generation = worker.generation.value;
  answer.age = now - worker.started;
  if (const auto* draining = std::get_if<Fleet::Draining>(&worker.phase)) {
    answer.draining_for = now - draining->since;
    answer.ends_in = draining->deadline - now;
  }
  if (const auto* ending = std::get_if<Fleet::Ending>(&worker.phase)) answer.ends_in = ending->deadline - now;
  if (occupant == nullptr) return answer;
  if (occupant->process) answer.pid = occupant->process->pid();
  if (const ConnectionSink* inbox = inbox_of(*occupant); inbox != nullptr && occupant->spoke && !node_)
    answer.open = inbox->account().open;
  if (occupant->health) {
    answer.health = worker.unhealthy ? "unhealthy" : "healthy";
    answer.last_check = occupant->health->last_result();
  }
  return answer;
}

PoolStatus FleetRunner::status() const {
  const TimePoint now = loop_.now();
  PoolStatus pool;
  pool.name = pool_.name;
  pool.command = pool_.command;
  pool.intake = settlement_.intake() ? value_text(*settlement_.intake()) : "auto";
  pool.plane = settlement_.intake() ? value_text(settlement_.plane()) : "auto";
  if (node_) {
    pool.node_dialect = value_text(node_->dialect());
    pool.node_messages_dropped = node_->dropped();
  }
  pool.counts_connections = settlement_.plane() == Plane::Pass || settlement_.intake() == Intake::Sdk;
  for (std::uint32_t i = 0; i < std::min(slots_.size(), fleet_.slots().size()); i++) {
    const Slot& slot = slots_[i];
    const Fleet::Slot& state = fleet_.slots()[i];
    SlotStatus answer;
    answer.slot = i;
    answer.state = slot_text(state);
    answer.restarts = slot.starts > 0 ? slot.starts - 1 : 0;
    answer.handed = slot.retired_handed;
    answer.accepted = slot.retired_accepted;
    answer.queued = settlement_.plane() == Plane::Steer ? steerer_.queued(SlotId{i}) : 0;
    answer.lost = slot.retired_lost;
    answer.protocol_errors = slot.protocol_errors;
    answer.last_exit = slot.last_exit;
    answer.buckets = dispatcher_.served_buckets(SlotId{i});
    answer.home_buckets = dispatcher_.table().share(SlotId{i});
    const auto add_inbox = [&](const ConnectionSink& inbox) {
      const ConnectionSink::Account account = inbox.account();
      answer.handed += account.taken;
      answer.waiting += account.waiting;
      answer.accepted += account.accepted;
      answer.open += account.open;
      answer.lost += account.lost;
    };
    if (slot.inbox) add_inbox(*slot.inbox);
    const auto describe = [&](const Fleet::Worker& worker) {
      const auto occupant = occupants_.find(worker.id);
      if (occupant != occupants_.end() && occupant->second.own_inbox) add_inbox(*occupant->second.own_inbox);
      return describe_worker(worker, occupant == occupants_.end() ? nullptr : &occupant->second);
    };
    if (state.incumbent) answer.worker = describe(*state.incumbent);
    if (state.successor) answer.others.push_back(describe(*state.successor));
    for (const Fleet::Worker& worker : state.departing) answer.others.push_back(describe(worker));
    if (const auto* backoff = std::get_if<Fleet::Backoff>(&state.pause); backoff && !state.incumbent) {
      answer.next_start = backoff->until - now;
    }
    if (const auto* resting = std::get_if<Fleet::Resting>(&state.pause); resting && !state.incumbent) {
      answer.next_start = resting->until - now;
    }
    pool.slots.push_back(std::move(answer));
  }
  return pool;
}

unsigned FleetRunner::serving() const {
  const auto serves = [](const Fleet::Slot& slot) {
    return slot.incumbent && std::holds_alternative<Fleet::Serving>(slot.incumbent->phase);
  };
  return static_cast<unsigned>(std::count_if(fleet_.slots().begin(), fleet_.slots().end(), serves));
}

}  // namespace holdfast
