#include "core/fleet.h"

#include <algorithm>
#include <type_traits>
#include <utility>

namespace holdfast {

namespace {

template <class... Fs>
struct Overloaded : Fs... {
  using Fs::operator()...;
};
template <class... Fs>
Overloaded(Fs...) -> Overloaded<Fs...>;

template <class P>
bool in(const Fleet::Worker& worker) {
  return std::holds_alternative<P>(worker.phase);
}

bool serves(const std::optional<Fleet::Worker>& worker) { return worker && in<Fleet::Serving>(*worker); }

// The moment from which a worker that beat last at `last_heartbeat` counts as hung.
TimePoint hung_from(TimePoint last_heartbeat, const Fleet::Policy& policy) {
  return policy.heartbeat_timeout > Duration::zero() ? last_heartbeat + policy.heartbeat_timeout : kNever;
}

// The moment at which time alone changes what becomes of a worker.
TimePoint deadline_of(const Fleet::Worker& worker, const Fleet::Policy& policy) {
  return std::visit(Overloaded{
                        [&](const Fleet::Starting& phase) { return phase.deadline; },
                        [&](const Fleet::Serving& phase) { return hung_from(phase.last_heartbeat, policy); },
                        [&](const Fleet::Draining& phase) {
                          return std::min(phase.deadline, hung_from(phase.last_heartbeat, policy));
                        },
                        [&](const Fleet::Ending& phase) { return phase.deadline; },
                        [](const auto&) { return kNever; },
                    },
                    worker.phase);
}

}  // namespace

Fleet::Fleet(Policy policy, unsigned size, Generation generation, std::uint64_t seed)
    : policy_(policy), wished_size_(size), generation_(generation), random_state_(seed) {}

Fleet::Fleet(Policy policy, Saved saved)
    : policy_(policy),
      wished_size_(saved.wished_size),
      generation_(saved.generation),
      random_state_(saved.random_state),
      stop_(saved.stop),
      stop_deadline_(saved.stop_deadline),
      ever_ready_(saved.ever_ready),
      regrouping_(saved.regrouping),
      concluded_(saved.concluded),
      last_worker_(saved.last_worker),
      slots_(std::move(saved.slots)) {}

Fleet::Saved Fleet::save() const {
  return {.wished_size = wished_size_,
          .generation = generation_,
          .random_state = random_state_,
          .stop = stop_,
          .stop_deadline = stop_deadline_,
          .ever_ready = ever_ready_,
          .regrouping = regrouping_,
          .concluded = concluded_,
          .last_worker = last_worker_,
          .slots = slots_};
}

void Fleet::set_stop(Stop stop) { stop_ = std::max(stop_, stop); }

void Fleet::set_drained(SlotId id, bool drained) {
  if (id.value >= slots_.size()) return;
  Slot& slot = slots_[id.value];
  slot.drained = drained;
  if (!drained) start_anew(slot);
}

void Fleet::request_renewal(SlotId id) {
  if (id.value >= slots_.size()) return;
  Slot& slot = slots_[id.value];
  if (slot.incumbent) slot.incumbent->outdated = true;
  start_anew(slot);
}

// Somebody wishes a worker there, whatever those before have come to.
void Fleet::start_anew(Slot& slot) {
  if (slot.incumbent) return;
  slot.pause = MayStart{};
  slot.failures = 0;
}

void Fleet::withdraw_renewal(SlotId id) {
  if (id.value >= slots_.size()) return;
  Slot& slot = slots_[id.value];
  if (slot.incumbent && !slot.successor) slot.incumbent->outdated = false;
}

void Fleet::on_ready(WorkerId id, TimePoint now) {
  Worker* worker = find_mutable(id);
  if (worker == nullptr || !in<Starting>(*worker)) return;
  worker->phase = Serving{now, now};
  worker->ready_at = now;
  ever_ready_ = true;
}

void Fleet::on_heartbeat(WorkerId id, TimePoint at) {
  Worker* worker = find_mutable(id);
  if (worker == nullptr) return;
  const auto note = [at](TimePoint& last) { last = std::max(last, at); };
  std::visit(Overloaded{
                 [&](Serving& phase) { note(phase.last_heartbeat); },
                 [&](Draining& phase) { note(phase.last_heartbeat); },
                 [](const auto&) {},
             },
             worker->phase);
}

void Fleet::on_misbehaved(WorkerId id) {
  if (Worker* worker = find_mutable(id)) worker->misbehaved = true;
}

void Fleet::on_stalled(WorkerId id, bool stalled) {
  if (Worker* worker = find_mutable(id)) worker->stalled = stalled;
}

void Fleet::on_health(WorkerId id, bool healthy) {
  if (Worker* worker = find_mutable(id)) worker->unhealthy = !healthy;
}

void Fleet::on_cleaned_up(SlotId id, bool done) {
  if (id.value >= slots_.size() || slots_[id.value].cleaning != Cleaning::Asked) return;
  slots_[id.value].cleaning = done ? Cleaning::NotNeeded : Cleaning::Failed;
}

void Fleet::on_exited(WorkerId id, WorkerEnd end, TimePoint now) {
  if (Worker* worker = find_mutable(id)) worker->phase = Gone{end, now};
}

std::vector<Fleet::Action> Fleet::reconcile(TimePoint now) {
  Actions actions;
  if (concluded_) return actions;
  if (stop_ != Stop::No) begin_stop(now);
  if (stop_ == Stop::No) add_slots(now);
  for (Slot& slot : slots_) {
    bury(slot, now, actions);
    if (leaving(slot)) lend(slot, actions);  // before anybody drains: what waits in the inbox is for the others
    if (stop_ != Stop::No || leaving(slot)) {
      dismiss(slot, now, actions);
    } else {
      promote_if_due(slot, now, actions);
    }
    enforce_deadlines(slot, now, actions);
  }
  if (is_group() && stop_ == Stop::No) regroup(now, actions);
  // From here on no renewal ends: every slot sees the same budget for new ones, whichever slot has freed it.
  for (Slot& slot : slots_) {
    start_if_due(slot, now, actions);
    settle_buckets(slot, now, actions);
  }
  remove_empty_slots(actions);
  conclude(actions);
  return actions;
}

TimePoint Fleet::next_deadline() const {
  TimePoint next = kNever;
  if (concluded_) return next;
  const auto consider = [&](TimePoint at) { next = std::min(next, at); };
  for (const Slot& slot : slots_) {
    if (slot.incumbent) consider(deadline_of(*slot.incumbent, policy_));
    if (slot.successor) consider(deadline_of(*slot.successor, policy_));
    for (const Worker& worker : slot.departing) consider(deadline_of(worker, policy_));
    if (stop_ != Stop::No || leaving(slot)) continue;
    if (serves(slot.successor)) consider(std::get<Serving>(slot.successor->phase).since + policy_.canary);
    if (!slot.incumbent && std::holds_alternative<Backoff>(slot.pause)) consider(std::get<Backoff>(slot.pause).until);
    if (!slot.incumbent && std::holds_alternative<Resting>(slot.pause)) consider(std::get<Resting>(slot.pause).until);
    if (slot.unserved_since && !slot.lent) consider(*slot.unserved_since + policy_.hold_timeout);
  }
  return next;
}

bool Fleet::renewing() const {
  return std::any_of(slots_.begin(), slots_.end(),
                     [&](const Slot& slot) { return slot.successor || wants_renewal(slot); });
}

const Fleet::Worker* Fleet::find(WorkerId id) const { return const_cast<Fleet*>(this)->find_mutable(id); }

Fleet::Worker* Fleet::find_mutable(WorkerId id) {
  for (Slot& slot : slots_) {
    if (slot.incumbent && slot.incumbent->id == id) return &*slot.incumbent;
    if (slot.successor && slot.successor->id == id) return &*slot.successor;
    for (Worker& worker : slot.departing) {
      if (worker.id == id) return &worker;
    }
  }
  return nullptr;
}

SlotId Fleet::id_of(const Slot& slot) const { return SlotId{static_cast<std::uint32_t>(&slot - slots_.data())}; }

bool Fleet::is_shunned(SlotId slot) const { return slot.value < slots_.size() && shunned(slots_[slot.value]); }

bool Fleet::shunned(const Slot& slot) const {
  if (!serves(slot.incumbent) || !slot.incumbent->unhealthy) return false;
  return std::any_of(slots_.begin(), slots_.end(), [&](const Slot& other) {
    return serves(other.incumbent) && !other.incumbent->unhealthy && !other.incumbent->stalled && !leaving(other);
  });
}

bool Fleet::leaving(const Slot& slot) const { return id_of(slot).value >= wished_size_ || slot.drained; }

bool Fleet::wants_renewal(const Slot& slot) const {
  if (!slot.incumbent) return false;
  const Worker& worker = *slot.incumbent;
  return worker.outdated || (worker.generation != generation_ && worker.failed_successor != generation_);
}

unsigned Fleet::renewals_under_way() const {
  return static_cast<unsigned>(
      std::count_if(slots_.begin(), slots_.end(), [](const Slot& slot) { return slot.successor.has_value(); }));
}

// Whether connections may be given to it: it is not about to end.
bool Fleet::may_take_over(const Worker& worker, TimePoint now) const {
  return (in<Starting>(worker) || in<Serving>(worker)) && !worker.misbehaved && !worker.unhealthy &&
         now < deadline_of(worker, policy_);
}

// SplitMix64 (Sebastiano Vigna, public domain): jitter needs no better.
double Fleet::random() {
  std::uint64_t z = (random_state_ += 0x9e3779b97f4a7c15U);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
  return static_cast<double>((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

void Fleet::begin_stop(TimePoint now) {
  if (!stop_deadline_) stop_deadline_ = now + policy_.stop_timeout;
}

void Fleet::add_slots(TimePoint now) {
  while (slots_.size() < wished_size_) {
    Slot slot;
    slot.unserved_since = now;
    slot.paused_generation = generation_;
    slots_.push_back(std::move(slot));
  }
}

// Forgets the workers that have ended and draws the consequences for their slot.
void Fleet::bury(Slot& slot, TimePoint now, Actions& actions) {
  std::erase_if(slot.departing, in<Gone>);
  if (slot.successor && in<Gone>(*slot.successor)) abandon_renewal(slot, actions);
  if (!slot.incumbent || !in<Gone>(*slot.incumbent)) return;
  const Worker dead = *slot.incumbent;
  slot.incumbent.reset();
  if (policy_.clean_up == CleanUp::BeforeRestart) slot.cleaning = Cleaning::Needed;
  if (stop_ != Stop::No || leaving(slot)) return;
  if (dead.dismissed) {  // and the slot was wished back meanwhile
    slot.pause = MayStart{};
    return;
  }
  if (slot.successor && !may_take_over(*slot.successor, now)) abandon_renewal(slot, actions);
  record_failure(slot, dead, std::get<Gone>(dead.phase).end, now, actions);
  regrouping_ = regrouping_ || is_group();
  if (slot.successor) promote(slot, now, actions);
}

// Whoever wished the renewal is told, and decides: it is not tried again and again.
void Fleet::abandon_renewal(Slot& slot, Actions& actions) {
  if (slot.incumbent) {
    slot.incumbent->outdated = false;
    slot.incumbent->failed_successor = slot.successor->generation;
  }
  if (!in<Gone>(*slot.successor)) slot.departing.push_back(*slot.successor);
  slot.successor.reset();
  actions.push_back(AbandonRenewal{id_of(slot)});
}

void Fleet::record_failure(Slot& slot, const Worker& worker, WorkerEnd end, TimePoint now, Actions& actions) {
  const TimePoint died = std::get<Gone>(worker.phase).at;
  if (worker.ready_at && died - *worker.ready_at >= policy_.stable_time) {
    slot.failures = 0;
    slot.start_limit.clear();
    slot.on_probation = false;
  }
  slot.failures++;
  slot.paused_generation = worker.generation;
  StartLimitPolicy limit = policy_.start_limit;
  // Who never becomes ready takes his whole start_timeout to fail: that must not keep him below the limit.
  if (!worker.ready_at) limit.interval += limit.failures * policy_.start_timeout;
  const bool limit_reached = slot.start_limit.on_failure(limit, died);
  if (slot.successor || worker.generation != generation_) {
    slot.pause = MayStart{};  // the next worker is another program, or stands ready
  } else if (end == WorkerEnd::DoNotRestart) {
    slot.pause = Stopped{};
    actions.push_back(StopSlot{id_of(slot)});
  } else if (limit_reached || slot.on_probation) {
    slot.on_probation = true;
    slot.pause = Resting{now + policy_.start_limit.rest};
    actions.push_back(RestSlot{id_of(slot), now + policy_.start_limit.rest});
  } else if (const Duration delay = backoff_delay(policy_.backoff, slot.failures, random()); delay > Duration::zero()) {
    slot.pause = Backoff{now + delay};
    actions.push_back(DelayStart{id_of(slot), now + delay, slot.failures});
  } else {
    slot.pause = MayStart{};
  }
}

void Fleet::enforce_deadlines(Slot& slot, TimePoint now, Actions& actions) {
  if (slot.incumbent) enforce_deadline(*slot.incumbent, now, actions);
  if (slot.successor) end_if_unhealthy(*slot.successor, now, actions);
  if (slot.successor) enforce_deadline(*slot.successor, now, actions);
  for (Worker& worker : slot.departing) {
    end_if_unhealthy(worker, now, actions);  // it was a successor when its incumbent died
    enforce_deadline(worker, now, actions);
  }
}

void Fleet::end_if_unhealthy(Worker& worker, TimePoint now, Actions& actions) const {
  if (!worker.unhealthy || worker.misbehaved || !(in<Starting>(worker) || in<Serving>(worker))) return;
  if (now >= deadline_of(worker, policy_)) return;  // it is ended for that
  worker.phase = Ending{now + policy_.kill_timeout};
  actions.push_back(SignalWorker{worker.id, Signal::Terminate, Why::Unhealthy});
}

void Fleet::enforce_deadline(Worker& worker, TimePoint now, Actions& actions) {
  if (in<Killed>(worker) || in<Gone>(worker)) return;
  const auto kill = [&](Why why) {
    worker.phase = Killed{};
    actions.push_back(SignalWorker{worker.id, Signal::Kill, why});
  };
  const auto end = [&](Signal signal, Why why) {
    worker.phase = Ending{now + policy_.kill_timeout};
    actions.push_back(SignalWorker{worker.id, signal, why});
  };
  if (worker.misbehaved) return kill(Why::Misbehaved);
  while (now >= deadline_of(worker, policy_)) {  // again, because the time that the next phase has may be zero
    std::visit(Overloaded{
                   [&](const Starting&) { end(Signal::Terminate, Why::NotReady); },
                   [&](const Serving&) { end(Signal::Abort, Why::Hung); },
                   [&](const Draining& phase) {
                     // Who hangs would not hear SIGTERM, and its core is wanted.
                     if (now >= hung_from(phase.last_heartbeat, policy_)) return end(Signal::Abort, Why::Hung);
                     end(Signal::Terminate, Why::Drained);
                   },
                   [&](const Ending&) { kill(Why::Overdue); },
                   [](const auto&) {},
               },
               worker.phase);
  }
}

// The pool stops or the slot leaves: everybody is to go. The incumbent keeps its role, for it has the slot's inbox: if
// the slot is wished back, the next one waits for its end.
void Fleet::dismiss(Slot& slot, TimePoint now, Actions& actions) {
  if (slot.incumbent) dismiss(*slot.incumbent, now, actions);
  if (slot.successor) slot.departing.insert(slot.departing.begin(), *slot.successor);
  slot.successor.reset();
  for (Worker& worker : slot.departing) dismiss(worker, now, actions);
}

void Fleet::dismiss(Worker& worker, TimePoint now, Actions& actions) {
  if (in<Killed>(worker) || in<Gone>(worker)) return;
  if (stop_ == Stop::Immediate) {
    worker.phase = Killed{};
    actions.push_back(SignalWorker{worker.id, Signal::Kill, Why::Stopping});
    return;
  }
  // Whatever a worker was promised, the stop as a whole ends in time: one kill_timeout before it every worker gets
  // SIGTERM.
  const TimePoint last_call = stop_deadline_ ? std::max(now, *stop_deadline_ - policy_.kill_timeout) : kNever;
  worker.dismissed = worker.dismissed || in<Starting>(worker) || in<Serving>(worker);
  if (in<Starting>(worker)) {
    worker.phase = Ending{now + policy_.kill_timeout};
    actions.push_back(SignalWorker{worker.id, Signal::Terminate, Why::Stopping});
  } else if (in<Serving>(worker)) {
    worker.phase =
        Draining{std::min(now + policy_.drain_timeout, last_call), std::get<Serving>(worker.phase).last_heartbeat, now};
    actions.push_back(DrainWorker{worker.id, std::get<Draining>(worker.phase).deadline});
  } else if (in<Draining>(worker)) {
    Draining& draining = std::get<Draining>(worker.phase);
    draining.deadline = std::min(draining.deadline, last_call);
  }
}

void Fleet::promote_if_due(Slot& slot, TimePoint now, Actions& actions) {
  if (!serves(slot.successor) || !may_take_over(*slot.successor, now)) return;
  if (now >= std::get<Serving>(slot.successor->phase).since + policy_.canary) promote(slot, now, actions);
}

// The successor becomes the incumbent. It may still be starting, when the incumbent has died on the way: then the
// slot's connections wait for it rather than for a third worker.
void Fleet::promote(Slot& slot, TimePoint now, Actions& actions) {
  Worker successor = *slot.successor;
  slot.successor.reset();
  std::optional<WorkerId> predecessor;
  if (slot.incumbent) predecessor = slot.incumbent->id;
  actions.push_back(Promote{id_of(slot), successor.id, predecessor});
  if (slot.incumbent) {
    Worker departing = *slot.incumbent;
    if (in<Serving>(departing)) {
      departing.phase = Draining{now + policy_.drain_timeout, std::get<Serving>(departing.phase).last_heartbeat, now};
      actions.push_back(DrainWorker{departing.id, std::get<Draining>(departing.phase).deadline});
    }
    slot.departing.push_back(departing);
  }
  slot.incumbent = successor;
}

void Fleet::start_if_due(Slot& slot, TimePoint now, Actions& actions) {
  if (stop_ != Stop::No || leaving(slot)) return;
  if (slot.incumbent) {
    if (is_group() || !wants_renewal(slot) || slot.successor || !in<Serving>(*slot.incumbent)) return;
    if (slot.departing.size() > policy_.linger) return;
    if (renewals_under_way() < policy_.surge) slot.successor = start(slot, Role::Successor, now, actions);
    return;
  }
  note_failed_clean_up(slot, now, actions);
  if (slot.paused_generation != generation_) {
    slot.pause = MayStart{};
    slot.paused_generation = generation_;
    slot.failures = 0;
    slot.start_limit.clear();
    slot.on_probation = false;
  }
  if (!is_due(slot, now)) return;
  slot.pause = MayStart{};  // it may have to wait for its turn
  if (is_turn_of(slot) && clean_up(slot, actions)) slot.incumbent = start(slot, Role::Incumbent, now, actions);
}

bool Fleet::is_due(const Slot& slot, TimePoint now) {
  return std::visit(Overloaded{
                        [](const MayStart&) { return true; },
                        [&](const Backoff& pause) { return now >= pause.until; },
                        [&](const Resting& pause) { return now >= pause.until; },
                        [](const Stopped&) { return false; },
                    },
                    slot.pause);
}

Fleet::Worker Fleet::start(const Slot& slot, Role role, TimePoint now, Actions& actions) {
  Worker worker;
  worker.id = WorkerId{++last_worker_};
  worker.generation = generation_;
  worker.started = now;
  worker.phase = Starting{now + policy_.start_timeout};
  actions.push_back(StartWorker{id_of(slot), worker.id, generation_, role});
  return worker;
}

void Fleet::settle_buckets(Slot& slot, TimePoint now, Actions& actions) {
  if (leaving(slot)) return;
  const bool avoided = (slot.incumbent && slot.incumbent->stalled) || shunned(slot);
  if (serves(slot.incumbent) && !avoided) {
    slot.unserved_since.reset();
    if (slot.lent) actions.push_back(ReturnBuckets{id_of(slot)});
    slot.lent = false;
    return;
  }
  if (!slot.unserved_since) slot.unserved_since = now;
  if (slot.lent || stop_ != Stop::No) return;
  const bool hopeless =
      !slot.incumbent && (std::holds_alternative<Resting>(slot.pause) || std::holds_alternative<Stopped>(slot.pause));
  if (hopeless || avoided || now >= *slot.unserved_since + policy_.hold_timeout) lend(slot, actions);
}

void Fleet::lend(Slot& slot, Actions& actions) {
  if (slot.lent) return;
  slot.lent = true;
  actions.push_back(LendBuckets{id_of(slot)});
}

void Fleet::remove_empty_slots(Actions& actions) {
  while (slots_.size() > wished_size_) {
    const Slot& last = slots_.back();
    if (last.incumbent || last.successor || !last.departing.empty()) return;
    actions.push_back(RemoveSlot{SlotId{static_cast<std::uint32_t>(slots_.size() - 1)}});
    slots_.pop_back();
  }
}

void Fleet::conclude(Actions& actions) {
  const bool empty = std::all_of(slots_.begin(), slots_.end(), [](const Slot& slot) {
    return !slot.incumbent && !slot.successor && slot.departing.empty();
  });
  if (!empty) return;
  if (stop_ != Stop::No) {
    concluded_ = true;
    actions.push_back(Finished{});
    return;
  }
  // A drained slot is no failure: whoever has emptied it may fill it again.
  const auto stopped = [](const Slot& slot) { return !slot.drained && std::holds_alternative<Stopped>(slot.pause); };
  // No worker of a group lives without the others.
  const bool group_stopped = is_group() && std::any_of(slots_.begin(), slots_.end(), stopped);
  const auto rests = [](const Slot& slot) { return !slot.drained && std::holds_alternative<Resting>(slot.pause); };
  const bool all_stopped = !slots_.empty() && std::all_of(slots_.begin(), slots_.end(), stopped);
  const bool hopeless = !slots_.empty() && std::all_of(slots_.begin(), slots_.end(),
                                                       [&](const Slot& slot) { return stopped(slot) || rests(slot); });
  if (all_stopped || group_stopped || (hopeless && !ever_ready_)) {
    concluded_ = true;
    actions.push_back(GiveUp{});
  }
}

}  // namespace holdfast
