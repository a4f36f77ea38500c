#include "fleet_runner.h"

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "bus/bus.h"
#include "config/chosen_intake.h"
#include "config/values.h"
#include "sys/environment.h"
#include "sys/worker_sockets.h"
#include "worker_texts.h"

namespace holdfast {

namespace {

// Inbox 3, bus 2, output 4, status socket 2, notify socket and channel of the capture 3, /dev/null, pidfd: 16 at a time; and a few
// for what the child moves out of the way.
constexpr std::size_t kDescriptorsOfAStart = 22;
// A deadline that is met so late was not met by a busy supervisor but by one that did not run.
constexpr Duration kOverslept = std::chrono::seconds(1);
// What a worker has left of its time to drain when it closes the last connections.
constexpr Duration kLastOfDrain = std::chrono::milliseconds(500);
constexpr Duration kFarewellPoll = std::chrono::milliseconds(20);
constexpr Duration kConnectionsPoll =
    std::chrono::seconds(1);  // to look them up costs milliseconds where there are thousands

int signal_number(Fleet::Signal signal, SignalName stop_signal) {
  switch (signal) {
    case Fleet::Signal::Terminate:
      return stop_signal.number;
    case Fleet::Signal::Abort:
      return SIGABRT;
    case Fleet::Signal::Kill:
      break;
  }
  return SIGKILL;
}

}  // namespace

FleetRunner::FleetRunner(Loop& loop, const PoolConfig& pool, Dispatcher& dispatcher, Steerer& steerer, Hooks hooks)
    : loop_(loop),
      pool_(pool),
      dispatcher_(dispatcher),
      steerer_(steerer),
      hooks_(std::move(hooks)),
      fleet_(pool.fleet, pool.workers, Generation{1}, static_cast<std::uint64_t>(getpid())),
      reserve_(kDescriptorsOfAStart),
      renewals_(fleet_),
      settlement_(chosen_intake(pool), pool.plane),
      node_(settlement_.intake() == Intake::Node ? make_node_workers() : nullptr),
      slots_(pool.workers),
      size_(pool.workers),
      told_(pool.workers, Dispatcher::SlotState::Held),
      warming_up_(loop, [this] { warm_up(); }),
      sampling_(loop, [this] { sample_work(); }),
      retiring_(loop, [this] { steerer_.retire_unwanted(listening_elsewhere()); }),
      timer_(loop, [this] { schedule(); }) {}

FleetRunner::~FleetRunner() {
  for (auto& [id, occupant] : occupants_) {
    occupant.health.reset();
    if (occupant.process) occupant.process->signal(SIGKILL);
  }
  for (auto& [slot, running] : clean_ups_) running.process->signal(SIGKILL);
}

void FleetRunner::forgo_steering() {
  has_steering_ = false;
  settlement_.forgo_steering();
}

void FleetRunner::start() {
  on_policy_changed();
  if (settlement_.intake()) on_settled();
  if (node_ && pool_.node.sticky_by == NodeConfig::StickyBy::Session) open_node_door();
  if (std::exchange(recounted_, false)) hear_again();
  reconcile();
}

void FleetRunner::stop(Fleet::Stop stop) {
  if (node_door_) node_door_->open();
  keep_first_ = true;
  fleet_.set_stop(stop);
  schedule();
}

void FleetRunner::on_policy_changed() {
  Fleet::Policy policy = pool_.fleet;
  // A slot has two sockets. Whoever departs goes on accepting at his until he is told to end: nobody else may have it.
  const std::optional<Intake> intake = settlement_.intake();
  if (intake && intake != Intake::Sdk && settlement_.plane() == Plane::Steer) policy.linger = 0;
  policy.clean_up = pool_.clean_up.empty() ? Fleet::CleanUp::None : Fleet::CleanUp::BeforeRestart;
  fleet_.set_policy(policy);
  settle_upkeep();
  schedule();
}

void FleetRunner::catch_up() {
  if (scheduled_) reconcile();
  steerer_.catch_up();
}

void FleetRunner::refuse_waiting() {
  for (Slot& slot : slots_) {
    if (!slot.inbox) continue;
    for (std::vector<Connection> some; !(some = take_back_some(*slot.inbox)).empty();)
      dispatcher_.refuse(std::move(some), Refusal::Stopping);
  }
  dispatcher_.refuse_unplaced();
}

void FleetRunner::schedule() {
  if (std::exchange(scheduled_, true)) return;
  loop_.defer([this] {
    scheduled_ = false;
    reconcile();
  });
}

void FleetRunner::reconcile() {
  const TimePoint now = loop_.now();
  reserve_.refill();  // a worker that has ended left some, which the next client would take
  sample_heartbeats(now);
  // A stopped container, a debugger: then nobody ran, and the silence of the workers says nothing.
  if (due_ != kNever && now > due_ + kOverslept) forgive_silence(now);
  // A worker that is told to go because its successor is ready must not be all that the next supervisor knows of.
  if (std::exchange(keep_first_, false) && hooks_.before_acting) hooks_.before_acting();
  for (const Fleet::Action& action : fleet_.reconcile(now)) {
    std::visit([this](const auto& a) { perform(a); }, action);
  }
  tell_dispatcher();
  adopt_size();
  renewals_.settle();
  settle_roll();
  settle_wishes();
  if (hooks_.bus != nullptr) hooks_.bus->on_pools_changed();
  due_ = fleet_.next_deadline();
  timer_.arm(due_);
  hooks_.on_acted();
}

void FleetRunner::forgive_silence(TimePoint now) {
  spdlog::warn("the supervisor did not run for {}: heartbeats count anew from now", seconds_text(now - due_));
  for (const auto& [id, occupant] : occupants_) fleet_.on_heartbeat(id, now);
}

void FleetRunner::sample_heartbeats(TimePoint now) {
  for (const auto& [id, occupant] : occupants_) {
    const ConnectionSink* const inbox = inbox_of(occupant);
    if (occupant.spoke && inbox != nullptr) fleet_.on_heartbeat(id, inbox->heartbeat(now));
    if (!occupant.beats) fleet_.on_heartbeat(id, now);  // it never said that it would
  }
}

void FleetRunner::perform(const Fleet::Promote& action) {
  Slot& slot = slots_[action.slot.value];
  Occupant& successor = occupants_.at(action.worker);
  std::unique_ptr<ConnectionSink> old = std::exchange(slot.inbox, std::move(successor.own_inbox));
  dispatcher_.set_inbox(action.slot, slot.inbox.get());
  const bool alone = !action.predecessor || !occupants_.contains(*action.predecessor);
  if (alone && !successor.holds_sockets) {
    // What waits for its dead predecessor at the slot's socket is served if it gets that very socket.
    steerer_.vacate(action.slot, successor.turn);
    successor.turn = steerer_.turn(action.slot);
    steerer_.occupy(action.slot, successor.turn);
  }
  steerer_.choose(action.slot, successor.turn);
  spdlog::info("{}: pid {} takes over", label(action.slot), successor.process->pid());
  if (!old) return;
  // From here on new connections go to the successor; what its predecessor has not taken up follows them.
  place_again(*old);
  const auto predecessor = action.predecessor ? occupants_.find(*action.predecessor) : occupants_.end();
  if (predecessor != occupants_.end()) {
    predecessor->second.own_inbox = std::move(old);
  } else {
    retire(action.slot, std::move(old));
  }
}

void FleetRunner::perform(const Fleet::DrainWorker& action) {
  const auto occupant = occupants_.find(action.worker);
  if (occupant == occupants_.end()) return;
  occupant->second.health.reset();
  occupant->second.recycle.reset();
  spdlog::info("{}: pid {} drains, for at most {}", label(occupant->second.slot), occupant->second.process->pid(),
               seconds_text(action.deadline - loop_.now()));
  if (occupant->second.spoke) {
    // Its successor can be passed what still comes to its socket.
    if (!steerer_.is_chosen(occupant->second.slot, occupant->second.turn)) {
      steerer_.take_over(occupant->second.slot, occupant->second.turn);
    }
    if (ConnectionSink* inbox = inbox_of(occupant->second))
      inbox->drain({action.deadline, drain_spread(action.deadline)});
    return;
  }
  occupant->second.farewell = std::make_unique<Timer>(loop_, [this, worker = action.worker] { say_goodbye(worker); });
  const bool at_once = fleet_.stop() != Fleet::Stop::No || settlement_.plane() != Plane::Steer ||
                       steerer_.is_chosen(occupant->second.slot, occupant->second.turn);
  occupant->second.farewell->arm(loop_.now() + (at_once ? Duration::zero() : kHandshake));
}

// It ends before the worker does. When the pool stops nobody is there to come back to: then there is nothing to spread.
Duration FleetRunner::drain_spread(TimePoint deadline) const {
  if (fleet_.stop() != Fleet::Stop::No) return Duration::zero();
  return std::min(pool_.drain_spread, std::max(deadline - loop_.now() - kLastOfDrain, Duration::zero()));
}

// It knows no drain but its stop signal, and may take that as the end: so first it serves its queue out.
void FleetRunner::say_goodbye(WorkerId worker) {
  Occupant& occupant = occupants_.at(worker);
  const bool queued = steerer_.waiting(occupant.slot, occupant.turn) > 0 && fleet_.stop() == Fleet::Stop::No;
  if (queued) return occupant.farewell->arm(loop_.now() + kFarewellPoll);
  const bool serves =
      pool_.drain_wait == DrainWait::Connections && open_connections(occupant.process->pid(), steerer_.ports()) > 0;
  if (serves) return occupant.farewell->arm(loop_.now() + kConnectionsPoll);
  if (!std::exchange(occupant.took_leave, true)) occupant.process->signal(pool_.stop_signal.number);
}

void FleetRunner::perform(const Fleet::SignalWorker& action) {
  const auto occupant = occupants_.find(action.worker);
  if (occupant == occupants_.end()) return;
  const int number = signal_number(action.signal, pool_.stop_signal);
  if (occupant->second.farewell) occupant->second.farewell->disarm();  // to be told twice means "at once" to many
  spdlog::log(action.why == Fleet::Why::Stopping ? spdlog::level::info : spdlog::level::warn, "{}: {} to pid {}: {}",
              label(occupant->second.slot), signal_name(number), occupant->second.process->pid(),
              reason_text(action.why));
  if (action.why == Fleet::Why::NotReady) {
    look_where_it_listens(occupant->second);
    spdlog::warn("{}: {}", label(occupant->second.slot), missing_sign(occupant->second));
  }
  occupant->second.health.reset();
  if (!occupant->second.told_to_end) occupant->second.told_to_end = action.why;
  occupant->second.process->signal(number);
}

void FleetRunner::perform(const Fleet::LendBuckets& action) {
  const char* const why = fleet_.is_shunned(action.slot) ? "its worker is unhealthy" : "no worker accepts there";
  spdlog::warn("{}: {}: its clients go to their next choice until it is back", label(action.slot), why);
  told_[action.slot.value] = Dispatcher::SlotState::Lent;
  dispatcher_.set_state(action.slot, Dispatcher::SlotState::Lent);
  steerer_.set_lent(action.slot, true);
  if (Slot& slot = slots_[action.slot.value]; slot.inbox) place_again(*slot.inbox);
}

void FleetRunner::perform(const Fleet::ReturnBuckets& action) {
  spdlog::info("{}: serves its own clients again", label(action.slot));
}

// The last one.
void FleetRunner::perform(const Fleet::RemoveSlot& action) {
  Slot& slot = slots_[action.slot.value];
  if (slot.inbox) {
    dispatcher_.set_inbox(action.slot, nullptr);
    place_again(*slot.inbox);
    retire(action.slot, std::move(slot.inbox));
  }
  handed_before_ += slot.retired_handed;
  spdlog::info("{}: the slot has gone", label(action.slot));
  slots_.pop_back();
  told_.pop_back();
  dispatcher_.resize(action.slot.value);
}

void FleetRunner::perform(const Fleet::DelayStart& action) {
  spdlog::warn("{}: {} failure{} in a row, restarting {}", label(action.slot), action.failures,
               action.failures == 1 ? "" : "s", when_text(action.until - loop_.now()));
}

void FleetRunner::perform(const Fleet::RestSlot& action) {
  spdlog::error("{}: failed {} times within {} (--start-limit): it rests, one probe in {}", label(action.slot),
                pool_.fleet.start_limit.failures, to_text(pool_.fleet.start_limit.interval),
                seconds_text(action.until - loop_.now()));
}

void FleetRunner::perform(const Fleet::StopSlot& action) {
  spdlog::error(
      "{}: its exit code says that restarting is useless (--no-restart-codes): it stays down until `holdfast restart "
      "{}`",
      label(action.slot), action.slot.value);
}

std::string FleetRunner::why_no_successor(SlotId number) const {
  const Slot& slot = slots_[number.value];
  return fmt::format("the successor in slot {} failed ({}){}", number.value, slot.last_exit.value_or("unknown"),
                     quote(slot.last_lines));
}

// Whoever wished a new worker there hears that there is none, and wishes no more of the kind.
void FleetRunner::fail_renewal(SlotId slot, const std::string& why) {
  renewals_.fail(slot, why);
  fail_roll(why);
}

void FleetRunner::perform(const Fleet::AbandonRenewal& action) {
  const std::string why = why_no_successor(action.slot);
  const bool served = fleet_.slots()[action.slot.value].incumbent.has_value();
  spdlog::error("{}: restart abandoned, {}: {}", label(action.slot),
                served ? "the present worker serves on" : "a new worker is started as after a crash", why);
  fail_renewal(action.slot, why);
}

void FleetRunner::perform(const Fleet::GiveUp&) {
  const Slot& slot = slots_.front();
  const std::string wrote =
      slot.last_lines.empty() ? "; it wrote nothing: run it by hand to see why" : quote(slot.last_lines);
  const std::string why = fmt::format("no worker of pool {} stays up: `{}` {}{}", pool_.name,
                                      fmt::join(pool_.command, " "), slot.last_exit.value_or("did not start"), wrote);
  fail_wishes(why);
  hooks_.on_give_up(why);
}

void FleetRunner::perform(const Fleet::Finished&) {
  renewals_.fail_all(Error{{}, "the supervisor stopped"});
  fail_wishes("the supervisor stopped");
  if (std::exchange(roll_back_to_, std::nullopt)) std::exchange(rolled_, nullptr)(Error{{}, "the supervisor stopped"});
  hooks_.on_finished();
}

ConnectionSink* FleetRunner::inbox_of(const Occupant& occupant) const {
  return occupant.own_inbox ? occupant.own_inbox.get() : slots_[occupant.slot.value].inbox.get();
}

std::optional<WorkerId> FleetRunner::worker_on(const ConnectionSink& inbox) const {
  for (const auto& [id, occupant] : occupants_) {
    if (inbox_of(occupant) == &inbox) return id;
  }
  return std::nullopt;
}

std::string FleetRunner::label(SlotId slot) const { return pool_.name + "/" + std::to_string(slot.value); }

void FleetRunner::on_exit(WorkerId worker, const ExitStatus& status) {
  const auto found = occupants_.find(worker);
  if (found == occupants_.end()) return;
  if (found->second.notify) found->second.notify->on_ended();
  // From here on nobody speaks for it, whoever else has the address of its socket, or its filter.
  found->second.notify.reset();
  found->second.capture.reset();
  found->second.health.reset();
  Occupant occupant = std::move(found->second);
  if (occupant.bus) occupant.bus->on_ended();
  occupants_.erase(found);
  Slot& slot = slots_[occupant.slot.value];
  slot.last_exit = to_text(status);
  if (occupant.told_to_end) *slot.last_exit += ": " + std::string(reason_text(*occupant.told_to_end));
  const Fleet::Worker* const known = fleet_.find(worker);
  const bool never_ready = known != nullptr && std::holds_alternative<Fleet::Starting>(known->phase);
  const std::string hint = never_ready && status == ExitStatus{}
                               ? " before it was ready: if it goes to the background, have it stay in the foreground"
                               : "";
  *slot.last_exit += hint;
  if (occupant.told_to_end == Fleet::Why::NotReady) *slot.last_exit += ", " + missing_sign(occupant);
  slot.last_lines = occupant.process->last_lines();
  tell_exit(occupant, status, known, hint);
  const std::vector<int>& final_codes = pool_.no_restart_codes;
  const bool final =
      status.is_known && status.signal == 0 && std::count(final_codes.begin(), final_codes.end(), status.code) > 0;
  steerer_.vacate(occupant.slot, occupant.turn);
  const bool was_successor = known != nullptr && fleet_.stop() == Fleet::Stop::No &&
                             fleet_.slots()[occupant.slot.value].successor &&
                             fleet_.slots()[occupant.slot.value].successor->id == worker;
  fleet_.on_exited(worker, final ? Fleet::WorkerEnd::DoNotRestart : Fleet::WorkerEnd::Ended, loop_.now());
  if (occupant.own_inbox) {
    occupant.own_inbox->settle();  // what it had not taken up is there again
    place_again(*occupant.own_inbox);
    retire(occupant.slot, std::move(occupant.own_inbox));
    // Now, and not when the fleet says so: by then the next slot would have its turn.
    if (was_successor) fail_renewal(occupant.slot, why_no_successor(occupant.slot));
  } else if (slot.inbox) {
    slot.inbox->settle();
    if (slot.inbox->is_shut()) replace_inbox(occupant.slot);
    if (roll_back_to_ && occupant.generation == generation_) {
      fail_roll(fmt::format("the new worker in slot {} {}{}", occupant.slot.value, slot.last_exit.value_or("ended"),
                            quote(slot.last_lines)));
    }
    renewals_.fail_by(occupant.slot, worker,
                      fmt::format("the worker in slot {} {}{}", occupant.slot.value, slot.last_exit.value_or("ended"),
                                  quote(slot.last_lines)));
  }
  if (node_) node_->on_gone(worker);
  // We are inside the callback of the process's own watcher.
  loop_.defer([gone = std::make_shared<Occupant>(std::move(occupant))] {});
  if (hooks_.on_left) hooks_.on_left();
  schedule();
}

void FleetRunner::tell_exit(const Occupant& occupant, const ExitStatus& status, const Fleet::Worker* known,
                            const std::string& hint) const {
  const bool expected = known != nullptr && (std::holds_alternative<Fleet::Draining>(known->phase) ||
                                             (fleet_.stop() != Fleet::Stop::No && status == ExitStatus{}));
  // Who knows no drain but a signal may die of it.
  const bool by_farewell = expected && occupant.farewell && status.signal == pool_.stop_signal.number;
  const bool as_told = occupant.told_to_end == Fleet::Why::Stopping &&
                       (status.signal == pool_.stop_signal.number || status.signal == SIGKILL);
  if (by_farewell || (expected && (status == ExitStatus{} || !status.is_known))) {
    spdlog::info("{}: pid {} has {}", label(occupant.slot), occupant.process->pid(),
                 by_farewell ? "left on " + signal_name(status.signal) : "drained and left");
  } else if (as_told) {
    spdlog::info("{}: pid {} {}, as it was told to end", label(occupant.slot), occupant.process->pid(),
                 to_text(status));
  } else {
    spdlog::warn("{}: pid {} {}{}{}", label(occupant.slot), occupant.process->pid(), to_text(status), hint,
                 quote(slots_[occupant.slot.value].last_lines));
  }
}

void FleetRunner::retire(SlotId slot, std::unique_ptr<ConnectionSink> inbox) {
  inbox->settle();
  const ConnectionSink::Account account = inbox->account();
  slots_[slot.value].retired_handed += account.taken;
  slots_[slot.value].retired_accepted += account.accepted;
  slots_[slot.value].retired_lost += account.lost;
  // We may be inside one of its callbacks.
  loop_.defer([kept = std::shared_ptr<ConnectionSink>(std::move(inbox))] {});
}

void FleetRunner::place_again(ConnectionSink& inbox) {
  for (std::vector<Connection> some; !(some = take_back_some(inbox)).empty();) dispatcher_.redispatch(std::move(some));
}

// What waits in a channel that a worker has shut down follows into a new one.
void FleetRunner::replace_inbox(SlotId id) {
  Slot& slot = slots_[id.value];
  std::unique_ptr<ConnectionSink> old = std::move(slot.inbox);
  if (Result<std::unique_ptr<ConnectionSink>> made = make_inbox()) slot.inbox = *std::move(made);
  dispatcher_.set_inbox(id, slot.inbox.get());  // none: the next start makes one
  place_again(*old);
  retire(id, std::move(old));
}

void FleetRunner::tell_dispatcher() {
  for (std::uint32_t i = 0; i < fleet_.slots().size(); i++) {
    const Fleet::Slot& slot = fleet_.slots()[i];
    const bool serving = slot.incumbent && std::holds_alternative<Fleet::Serving>(slot.incumbent->phase);
    const Dispatcher::SlotState state = slot.lent ? Dispatcher::SlotState::Lent
                                        : serving ? Dispatcher::SlotState::Serving
                                                  : Dispatcher::SlotState::Held;
    if (std::exchange(told_[i], state) == state) continue;
    dispatcher_.set_state(SlotId{i}, state);
    steerer_.set_lent(SlotId{i}, slot.lent);
  }
}

}  // namespace holdfast
