#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "core/fleet.h"
#include "unit/core/fleet_text.h"

namespace holdfast {

// The rules of a fleet, as its contract states them, kept by somebody who sees only what goes in and what comes out. It
// is told every wish and every fact that the fleet is told, and hears every answer; from both it keeps its own books,
// and notes the first rule that an answer breaks: an action that should not be (permission), or one that is missing
// (obligation).
class FleetRules {
 public:
  FleetRules(const Fleet::Policy& policy, unsigned size, Generation generation)
      : policy_(policy), size_(size), generation_(generation) {}

  // Empty while no rule is broken.
  [[nodiscard]] const std::string& broken() const { return broken_; }
  [[nodiscard]] bool gave_up() const { return conclusion_ == Conclusion::GaveUp; }
  [[nodiscard]] bool finished() const { return conclusion_ == Conclusion::Finished; }
  [[nodiscard]] std::optional<TimePoint> stop_seen() const { return stop_seen_; }

  // Wishes and facts.
  void set_size(unsigned size) { size_ = size; }
  void set_drained(SlotId slot, bool drained) {
    if (slot.value >= slots_.size()) return;
    slots_[slot.value].drained = drained;
    if (!drained) start_anew(slots_[slot.value]);
  }
  void set_generation(Generation generation) { generation_ = generation; }
  void set_stop(Fleet::Stop stop) { stop_ = std::max(stop_, stop); }

  void request_renewal(SlotId id) {
    if (id.value >= slots_.size()) return;
    Slot& slot = slots_[id.value];
    if (slot.incumbent) {
      life_of(*slot.incumbent).outdated = true;
    }
    start_anew(slot);
  }

  void on_ready(WorkerId id, TimePoint now) {
    Life* life = living(id);
    if (life == nullptr || life->ready || ending(*life)) return;
    life->ready = life->last_heartbeat = now;
    ever_ready_ = true;
  }

  void on_heartbeat(WorkerId id, TimePoint at) {
    Life* life = living(id);
    if (life != nullptr && life->ready) life->last_heartbeat = std::max(life->last_heartbeat, at);
  }

  void on_misbehaved(WorkerId id) {
    if (Life* life = living(id)) life->misbehaved = true;
  }

  void on_stalled(WorkerId id, bool stalled) {
    if (Life* life = living(id)) life->stalled = stalled;
  }

  void on_health(WorkerId id, bool healthy) {
    if (Life* life = living(id)) life->unhealthy = !healthy;
  }

  void on_exited(WorkerId id, Fleet::WorkerEnd end, TimePoint now) {
    Life* life = living(id);
    if (life == nullptr) return;
    life->died = now;
    life->end = end;
  }

  // Answers.
  void hear(const std::vector<Fleet::Action>& answer, TimePoint now) {
    now_ = now;
    require(answer.empty() || conclusion_ == Conclusion::None, "nothing is said after the conclusion");
    if (conclusion_ != Conclusion::None) return;
    const std::set<SlotId> served_before = served_slots();
    draw_consequences();
    for (const Fleet::Action& action : answer) {
      std::visit([this](const auto& a) { permit(a); }, action);
    }
    check_obligations();
    for (const SlotId slot : served_before) {
      if (slot.value >= slots_.size() || dismissed(slot)) continue;
      require(served(slots_[slot.value]) || slots_[slot.value].lost_its_worker,
              "a slot that was served is served afterwards, unless its worker hung or misbehaved");
    }
  }

  // That the fleet sees itself as these books do.
  void compare(const Fleet& fleet) {
    require(fleet.slots().size() == slots_.size(), "the slots are those that were added and not removed");
    for (std::size_t i = 0; i < std::min(slots_.size(), fleet.slots().size()); i++) {
      const Fleet::Slot& theirs = fleet.slots()[i];
      const Slot& ours = slots_[i];
      require(id_of(theirs.incumbent) == ours.incumbent, "the incumbent is the one that was started or promoted last");
      require(id_of(theirs.successor) == ours.successor, "the successor is the one that was started last");
      require(theirs.lent == ours.lent, "the buckets are lent as the answers said");
      const auto departing = std::count_if(lives_.begin(), lives_.end(), [&](const auto& entry) {
        return entry.second.slot.value == i && entry.second.place == Place::Departing;
      });
      require(static_cast<std::size_t>(departing) == theirs.departing.size(), "who was replaced departs");
    }
  }

  // Everything is as wished and nobody is on the way.
  [[nodiscard]] bool at_rest() const {
    if (slots_.size() != size_ || lives_.size() != size_) return false;
    return std::all_of(slots_.begin(), slots_.end(), [&](const Slot& slot) {
      return accepts(slot) && !slot.lent && life_of(*slot.incumbent).generation == generation_ &&
             !life_of(*slot.incumbent).outdated;
    });
  }

 private:
  enum class Place { Incumbent, Successor, Departing };
  enum class Pause { None, Delay, Rest, Stop };
  enum class Conclusion { None, GaveUp, Finished };

  struct Life {
    SlotId slot;
    Generation generation;
    Place place;
    TimePoint started;
    std::optional<TimePoint> ready;
    TimePoint last_heartbeat{};
    std::optional<TimePoint> drain_deadline;
    std::optional<TimePoint> asked_to_end;  // TERM or ABRT
    bool killed = false;
    bool stalled = false;
    bool unhealthy = false;
    bool misbehaved = false;
    bool outdated = false;
    bool dismissed = false;
    std::optional<Generation> failed_successor;
    std::optional<TimePoint> died;
    Fleet::WorkerEnd end = Fleet::WorkerEnd::Ended;
  };

  struct Slot {
    std::optional<WorkerId> incumbent;
    std::optional<WorkerId> successor;
    Pause pause = Pause::None;
    TimePoint pause_until{};
    Generation paused_generation;
    unsigned failures = 0;
    StartLimit start_limit;
    bool on_probation = false;
    bool drained = false;
    bool lent = false;
    std::optional<TimePoint> unserved_since;
    // Of this answer only.
    bool renewal_failed = false;      // it must be abandoned
    bool successor_inherits = false;  // it must be promoted, because the incumbent died
    bool lost_its_worker = false;     // the incumbent got ABRT or KILL
    Pause due_pause = Pause::None;    // after a failure
  };

  void require(bool holds, const char* rule) {
    if (!holds && broken_.empty()) broken_ = rule;
  }

  static std::optional<WorkerId> id_of(const std::optional<Fleet::Worker>& worker) {
    return worker ? std::optional(worker->id) : std::nullopt;
  }

  Life& life_of(WorkerId id) { return lives_.at(id); }
  [[nodiscard]] const Life& life_of(WorkerId id) const { return lives_.at(id); }

  Life* living(WorkerId id) {
    const auto found = lives_.find(id);
    return found == lives_.end() || found->second.died ? nullptr : &found->second;
  }

  static void start_anew(Slot& slot) {
    if (slot.incumbent) return;
    slot.pause = Pause::None;
    slot.failures = 0;
  }
  static bool ending(const Life& life) { return life.asked_to_end || life.killed; }
  static bool serving(const Life& life) { return life.ready && !life.drain_deadline && !ending(life) && !life.died; }
  [[nodiscard]] std::size_t departing_from(SlotId slot) const {
    return static_cast<std::size_t>(std::count_if(lives_.begin(), lives_.end(), [&](const auto& entry) {
      return entry.second.slot == slot && entry.second.place == Place::Departing && !entry.second.died;
    }));
  }
  // Its clients may be sent there.
  [[nodiscard]] bool accepts(const Slot& slot) const {
    return served(slot) && !life_of(*slot.incumbent).stalled && !shunned(slot);
  }
  [[nodiscard]] bool well(const Slot& slot) const {
    return served(slot) && !life_of(*slot.incumbent).stalled && !life_of(*slot.incumbent).unhealthy;
  }
  // Ill, while somebody else could serve its clients.
  [[nodiscard]] bool shunned(const Slot& slot) const {
    if (!served(slot) || !life_of(*slot.incumbent).unhealthy) return false;
    for (std::uint32_t other = 0; other < slots_.size(); other++) {
      if (well(slots_[other]) && !leaving(SlotId{other})) return true;
    }
    return false;
  }
  [[nodiscard]] bool served(const Slot& slot) const { return slot.incumbent && serving(life_of(*slot.incumbent)); }
  [[nodiscard]] bool leaving(SlotId slot) const {
    return slot.value >= size_ || (slot.value < slots_.size() && slots_[slot.value].drained);
  }
  [[nodiscard]] bool dismissed(SlotId slot) const { return stop_ != Fleet::Stop::No || leaving(slot); }

  [[nodiscard]] bool hung(const Life& life) const {
    return life.ready && !ending(life) && !life.died && policy_.heartbeat_timeout > Duration::zero() &&
           now_ >= life.last_heartbeat + policy_.heartbeat_timeout;
  }
  [[nodiscard]] bool late(const Life& life) const {
    return !life.ready && !ending(life) && now_ >= life.started + policy_.start_timeout;
  }
  [[nodiscard]] bool may_take_over(const Life& life) const {
    return !life.died && !life.drain_deadline && !ending(life) && !life.misbehaved && !life.unhealthy && !hung(life) &&
           !late(life);
  }
  [[nodiscard]] bool wants_renewal(const Life& life) const {
    return life.outdated || (life.generation != generation_ && life.failed_successor != generation_);
  }

  [[nodiscard]] std::set<SlotId> served_slots() const {
    std::set<SlotId> slots;
    for (std::uint32_t i = 0; i < slots_.size(); i++) {
      if (served(slots_[i])) slots.insert(SlotId{i});
    }
    return slots;
  }

  [[nodiscard]] unsigned successors() const {
    return static_cast<unsigned>(
        std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.successor.has_value(); }));
  }

  [[nodiscard]] TimePoint last_call() const {
    return stop_seen_ ? std::max(now_, *stop_seen_ + policy_.stop_timeout - policy_.kill_timeout) : kNever;
  }

  // What follows from the wishes and facts before any action: who is gone, what that counts for, who is dismissed.
  void draw_consequences() {
    if (stop_ != Fleet::Stop::No && !stop_seen_) stop_seen_ = now_;
    while (stop_ == Fleet::Stop::No && slots_.size() < size_) {
      slots_.emplace_back();
      slots_.back().unserved_since = now_;
      slots_.back().paused_generation = generation_;
    }
    for (std::uint32_t i = 0; i < slots_.size(); i++) {
      Slot& slot = slots_[i];
      slot.renewal_failed = slot.successor_inherits = slot.lost_its_worker = false;
      slot.due_pause = Pause::None;
      if (slot.successor && life_of(*slot.successor).died) slot.renewal_failed = true;
      if (slot.incumbent && life_of(*slot.incumbent).died) {
        const Life dead = life_of(*slot.incumbent);
        slot.incumbent.reset();
        if (!dismissed(SlotId{i})) count_failure(slot, dead);
      }
      const bool vacant = !slot.incumbent && !slot.successor_inherits && !dismissed(SlotId{i});
      if (vacant && slot.paused_generation != generation_) {
        slot.pause = Pause::None;
        slot.failures = 0;
        slot.start_limit.clear();
        slot.on_probation = false;
        slot.paused_generation = generation_;
      }
      if (dismissed(SlotId{i}) && slot.successor && !slot.renewal_failed) {
        life_of(*slot.successor).place = Place::Departing;
        slot.successor.reset();
      }
    }
    std::erase_if(lives_, [&](const auto& entry) {
      const Life& life = entry.second;
      return life.died && life.place != Place::Successor;
    });
    for (auto& [id, life] : lives_) {
      if (life.drain_deadline && stop_seen_) life.drain_deadline = std::min(*life.drain_deadline, last_call());
    }
  }

  void count_failure(Slot& slot, const Life& dead) {
    slot.pause = Pause::None;
    if (dead.dismissed) return;
    if (dead.ready && *dead.died - *dead.ready >= policy_.stable_time) {
      slot.failures = 0;
      slot.start_limit.clear();
      slot.on_probation = false;
    }
    slot.failures++;
    StartLimitPolicy limit = policy_.start_limit;
    if (!dead.ready) limit.interval += limit.failures * policy_.start_timeout;
    const bool limit_reached = slot.start_limit.on_failure(limit, *dead.died);
    slot.paused_generation = dead.generation;
    if (slot.successor && !slot.renewal_failed) {
      slot.renewal_failed = !may_take_over(life_of(*slot.successor));
      slot.successor_inherits = !slot.renewal_failed;
    }
    if (slot.successor_inherits || dead.generation != generation_) return;
    if (dead.end == Fleet::WorkerEnd::DoNotRestart) {
      slot.due_pause = Pause::Stop;
    } else if (limit_reached || slot.on_probation) {
      slot.due_pause = Pause::Rest;
      slot.on_probation = true;
    } else if (backoff_delay(policy_.backoff, slot.failures, 0) > Duration::zero()) {
      slot.due_pause = Pause::Delay;
    }
  }

  Slot* slot_at(SlotId id) {
    require(id.value < slots_.size(), "an action names a slot that is there");
    return id.value < slots_.size() ? &slots_[id.value] : nullptr;
  }

  Life* addressed(WorkerId id) {
    Life* life = living(id);
    require(life != nullptr, "an action names a worker that lives");
    return life;
  }

  void permit(const Fleet::CleanUpSlot&) { require(false, "nobody has wished that anything is cleaned up"); }
  void permit(const Fleet::StartWorker& a) {
    Slot* slot = slot_at(a.slot);
    if (slot == nullptr) return;
    require(stop_ == Fleet::Stop::No, "nobody starts during a stop");
    require(!leaving(a.slot), "nobody starts in a slot that leaves");
    require(a.generation == generation_, "who starts is of the wished generation");
    require(a.worker > last_started_, "no worker's name is used twice");
    last_started_ = std::max(last_started_, a.worker);
    if (a.role == Fleet::Role::Incumbent) {
      require(!slot->incumbent, "a slot has one incumbent");
      require(slot->pause == Pause::None || (slot->pause != Pause::Stop && now_ >= slot->pause_until),
              "nobody starts before the end of a delay or a rest");
      slot->incumbent = a.worker;
      slot->pause = Pause::None;
    } else {
      require(served(*slot), "a successor starts beside a serving incumbent");
      require(!slot->successor, "a slot has one successor");
      require(slot->incumbent && wants_renewal(life_of(*slot->incumbent)), "a renewal is wished");
      require(successors() < policy_.surge, "at most surge slots have a successor");
      require(departing_from(a.slot) <= policy_.linger, "nobody is started while too many depart");
      slot->successor = a.worker;
    }
    Life life{};
    life.slot = a.slot;
    life.generation = a.generation;
    life.place = a.role == Fleet::Role::Incumbent ? Place::Incumbent : Place::Successor;
    life.started = now_;
    lives_.emplace(a.worker, life);
  }

  void permit(const Fleet::Promote& a) {
    Slot* slot = slot_at(a.slot);
    Life* life = addressed(a.worker);
    if (slot == nullptr || life == nullptr) return;
    require(slot->successor == a.worker, "the successor of the slot is promoted");
    require(a.predecessor == slot->incumbent, "the predecessor is the incumbent");
    require(!dismissed(a.slot), "nobody is promoted who is dismissed");
    require(may_take_over(*life), "nobody is promoted who ends, hangs or misbehaved");
    if (slot->incumbent) {
      require(life->ready && now_ >= *life->ready + policy_.canary,
              "a successor is ready for the canary time before it replaces anybody");
      life_of(*slot->incumbent).place = Place::Departing;
    } else {
      require(slot->successor_inherits, "a promotion without a predecessor follows its death");
    }
    life->place = Place::Incumbent;
    slot->incumbent = a.worker;
    slot->successor.reset();
    slot->successor_inherits = false;
  }

  void permit(const Fleet::DrainWorker& a) {
    Life* life = addressed(a.worker);
    if (life == nullptr) return;
    require(serving(*life), "who drains has served, and is told once");
    require(life->place == Place::Departing || dismissed(life->slot), "who drains was replaced or is dismissed");
    require(stop_ != Fleet::Stop::Immediate, "nobody drains in an immediate stop");
    require(!leaving(life->slot) || slots_[life->slot.value].lent, "a leaving slot is lent before its worker drains");
    require(a.deadline == std::min(now_ + policy_.drain_timeout, last_call()), "a drain has its time");
    life->drain_deadline = a.deadline;
    life->dismissed = true;
  }

  void permit(const Fleet::SignalWorker& a) {
    Life* life = addressed(a.worker);
    if (life == nullptr) return;
    require(!life->killed, "nobody is signalled after KILL");
    const bool stopping = stop_ == Fleet::Stop::Immediate;
    switch (a.why) {
      case Fleet::Why::NotReady:
        require(late(*life), "only who is late is ended as not ready");
        break;
      case Fleet::Why::Hung:
        require(hung(*life), "only who gave no heartbeat is aborted as hung");
        break;
      case Fleet::Why::Drained:
        require(life->drain_deadline && now_ >= *life->drain_deadline && !ending(*life),
                "a drain ends at its deadline, once");
        require(!hung(*life), "who hangs while it drains is aborted");
        break;
      case Fleet::Why::Unhealthy:
        require(life->unhealthy && life->place != Place::Incumbent && !life->drain_deadline && !ending(*life),
                "only a successor is ended because it is unhealthy, once");
        break;
      case Fleet::Why::Misbehaved:
        require(life->misbehaved, "only who misbehaved is killed for it");
        break;
      case Fleet::Why::Overdue:
        require(life->asked_to_end && now_ >= *life->asked_to_end + policy_.kill_timeout,
                "KILL comes after the time that TERM or ABRT gave");
        break;
      case Fleet::Why::Stopping:
        require(stopping || (!life->ready && !ending(*life) && dismissed(life->slot)),
                "who serves is drained before a stop signals it");
        life->dismissed = true;
        break;
    }
    const Fleet::Signal expected =
        a.why == Fleet::Why::Hung ? Fleet::Signal::Abort
        : a.why == Fleet::Why::Misbehaved || a.why == Fleet::Why::Overdue || (a.why == Fleet::Why::Stopping && stopping)
            ? Fleet::Signal::Kill
            : Fleet::Signal::Terminate;
    require(a.signal == expected, "the signal fits its reason");
    if (life->place == Place::Incumbent && serving(*life)) slots_[life->slot.value].lost_its_worker = true;
    if (a.signal == Fleet::Signal::Kill) {
      life->killed = true;
    } else {
      life->asked_to_end = now_;
    }
  }

  void permit(const Fleet::LendBuckets& a) {
    Slot* slot = slot_at(a.slot);
    if (slot == nullptr) return;
    require(!slot->lent, "buckets that are lent are not lent again");
    const bool too_long = slot->unserved_since.value_or(now_) + policy_.hold_timeout <= now_;
    const bool hopeless = slot->incumbent ? life_of(*slot->incumbent).stalled || shunned(*slot)
                                          : slot->pause == Pause::Rest || slot->pause == Pause::Stop;
    require(leaving(a.slot) || (stop_ == Fleet::Stop::No && !accepts(*slot) && (too_long || hopeless)),
            "buckets are lent when their slot leaves, has no hope, or is unserved for the hold time");
    slot->lent = true;
  }

  void permit(const Fleet::ReturnBuckets& a) {
    Slot* slot = slot_at(a.slot);
    if (slot == nullptr) return;
    require(slot->lent, "buckets return that were lent");
    require(accepts(*slot) && !leaving(a.slot), "buckets return to a slot that is served and stays");
    slot->lent = false;
  }

  void permit(const Fleet::RemoveSlot& a) {
    require(a.slot.value + 1 == slots_.size() && a.slot.value >= size_,
            "the last slot is removed, beyond the wished size");
    require(std::none_of(lives_.begin(), lives_.end(), [&](const auto& entry) { return entry.second.slot == a.slot; }),
            "nobody is left in a slot that is removed");
    if (!slots_.empty()) slots_.pop_back();
  }

  void permit(const Fleet::DelayStart& a) {
    pause(a.slot, Pause::Delay, a.until);
    require(a.until > now_, "a delay ends later");
    if (a.slot.value < slots_.size())
      require(a.failures == slots_[a.slot.value].failures, "failures in a row are counted");
  }
  void permit(const Fleet::RestSlot& a) {
    pause(a.slot, Pause::Rest, a.until);
    require(a.until == now_ + policy_.start_limit.rest, "a rest has its time");
  }
  void permit(const Fleet::StopSlot& a) { pause(a.slot, Pause::Stop, kNever); }

  void pause(SlotId id, Pause kind, TimePoint until) {
    Slot* slot = slot_at(id);
    if (slot == nullptr) return;
    require(!slot->incumbent && !slot->successor_inherits && !dismissed(id), "a pause is for a slot without a worker");
    require(slot->due_pause == kind, "each failure is followed by its pause: a delay, a rest or a stop, once");
    slot->pause = kind;
    slot->pause_until = until;
    slot->due_pause = Pause::None;
  }

  void permit(const Fleet::AbandonRenewal& a) {
    Slot* slot = slot_at(a.slot);
    if (slot == nullptr) return;
    require(slot->renewal_failed && slot->successor, "a renewal is abandoned when the successor failed, once");
    if (!slot->successor) return;
    Life& successor = life_of(*slot->successor);
    if (slot->incumbent) {
      life_of(*slot->incumbent).outdated = false;
      life_of(*slot->incumbent).failed_successor = successor.generation;
    }
    successor.place = Place::Departing;
    if (successor.died) lives_.erase(*slot->successor);
    slot->successor.reset();
    slot->renewal_failed = false;
  }

  void permit(const Fleet::GiveUp&) {
    require(hopeless(), "giving up needs that all slots are stopped, or rest and no worker was ever ready");
    conclusion_ = Conclusion::GaveUp;
  }

  void permit(const Fleet::Finished&) {
    require(stop_ != Fleet::Stop::No && lives_.empty(), "finished is who was to stop and has nobody left");
    conclusion_ = Conclusion::Finished;
  }

  [[nodiscard]] bool hopeless() const {
    if (stop_ != Fleet::Stop::No || slots_.empty() || !lives_.empty()) return false;
    const auto count = [&](Pause kind) {
      return static_cast<std::size_t>(std::count_if(
          slots_.begin(), slots_.end(), [&](const Slot& slot) { return !slot.drained && slot.pause == kind; }));
    };
    const std::size_t stopped = count(Pause::Stop);
    return stopped == slots_.size() || (!ever_ready_ && stopped + count(Pause::Rest) == slots_.size());
  }

  // What the answer must have said, by now.
  void check_obligations() {
    if (conclusion_ != Conclusion::None) return;
    require(!hopeless(), "who has no hope gives up");
    require(stop_ == Fleet::Stop::No || !lives_.empty(), "who was to stop and has nobody left is finished");
    for (const auto& [id, life] : lives_) check_obligations(life);
    for (std::uint32_t i = 0; i < slots_.size(); i++) check_obligations(SlotId{i}, slots_[i]);
    require(slots_.size() <= size_ || stop_ != Fleet::Stop::No ||
                std::any_of(lives_.begin(), lives_.end(),
                            [&](const auto& entry) { return entry.second.slot.value + 1 == slots_.size(); }),
            "a last slot that leaves and is empty is removed");
  }

  void check_obligations(const Life& life) {
    if (life.killed) return;
    require(!life.misbehaved, "who misbehaved is killed");
    require(stop_ != Fleet::Stop::Immediate, "an immediate stop kills everybody");
    require(!hung(life), "who hangs is aborted");
    require(!late(life), "who is not ready in time is ended");
    require(!life.asked_to_end || now_ < *life.asked_to_end + policy_.kill_timeout,
            "who does not end in time is killed");
    require(ending(life) || !life.drain_deadline || now_ < *life.drain_deadline, "a drain ends at its deadline");
    require(ending(life) || life.drain_deadline || !dismissed(life.slot), "who is dismissed drains or ends");
    require(ending(life) || life.drain_deadline || life.place != Place::Departing, "who departs drains or ends");
  }

  void check_obligations(SlotId id, Slot& slot) {
    require(!slot.renewal_failed, "a renewal that failed is reported");
    require(!slot.successor_inherits, "a successor inherits from an incumbent that died");
    require(slot.due_pause == Pause::None, "a failure is followed by its pause");
    require(slot.lent || !leaving(id), "a leaving slot is lent");
    if (dismissed(id)) return;
    require(slot.incumbent || slot.pause == Pause::Stop || (slot.pause != Pause::None && now_ < slot.pause_until),
            "an empty slot gets a worker unless it is paused");
    require(slot.incumbent || slot.pause == Pause::Delay || slot.lent, "a slot that rests or is stopped is lent");
    if (served(slot)) {
      const Life& incumbent = life_of(*slot.incumbent);
      require(slot.successor || !wants_renewal(incumbent) || successors() >= policy_.surge ||
                  departing_from(id) > policy_.linger,
              "a wished renewal starts as soon as the surge and those who depart allow");
    }
    if (accepts(slot)) {
      slot.unserved_since.reset();
      require(!slot.lent, "buckets return when their slot is served");
    } else {
      require(slot.lent || !served(slot), "a stalled or unhealthy slot is lent");
      if (!slot.unserved_since) slot.unserved_since = now_;
      require(slot.lent || now_ < *slot.unserved_since + policy_.hold_timeout,
              "buckets are held no longer than allowed");
    }
    if (slot.successor) {
      const Life& successor = life_of(*slot.successor);
      require(!serving(successor) || now_ < *successor.ready + policy_.canary,
              "a successor takes the slot when its canary time is over");
      require(!serving(successor) || !successor.unhealthy, "an unhealthy successor is ended");
    }
  }

  const Fleet::Policy policy_;
  unsigned size_;
  Generation generation_;
  Fleet::Stop stop_ = Fleet::Stop::No;
  std::optional<TimePoint> stop_seen_;
  bool ever_ready_ = false;
  Conclusion conclusion_ = Conclusion::None;
  TimePoint now_{};
  WorkerId last_started_;
  std::vector<Slot> slots_;
  std::map<WorkerId, Life> lives_;  // until their death has been answered
  std::string broken_;
};

}  // namespace holdfast
