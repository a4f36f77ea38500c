#include "fleet_runner.h"

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <iterator>
#include <utility>

#include "config/values.h"
#include "core/stall.h"
#include "sys/environment.h"
#include "worker_texts.h"

namespace holdfast {

namespace {

// Inbox 3, output 4, status socket 2, notify socket and channel of the capture 3, /dev/null, pidfd: 14 at a time; and a few
// for what the child moves out of the way.
constexpr std::size_t kDescriptorsOfAStart = 20;
// A deadline that is met so late was not met by a busy supervisor but by one that did not run.
constexpr Duration kOverslept = std::chrono::seconds(1);
// A worker that is replaced in the steer plane goes on accepting so long at least: handshakes that had begun at its
// socket end there.
constexpr Duration kHandshake = std::chrono::seconds(1);
constexpr Duration kFarewellPoll = std::chrono::milliseconds(20);
constexpr std::size_t kBindsTold = 8;

int signal_number(Fleet::Signal signal) {
  switch (signal) {
    case Fleet::Signal::Terminate:
      return SIGTERM;
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
      settlement_(pool.intake, pool.plane),
      slots_(pool.workers),
      size_(pool.workers),
      told_(pool.workers, Dispatcher::SlotState::Held),
      retiring_(loop, [this] { steerer_.retire_unwanted(); }),
      timer_(loop, [this] { schedule(); }) {}

FleetRunner::~FleetRunner() {
  for (auto& [id, occupant] : occupants_) {
    if (occupant.process) occupant.process->signal(SIGKILL);
  }
}

void FleetRunner::start() {
  if (settlement_.intake()) on_settled();
  reconcile();
}

void FleetRunner::stop(Fleet::Stop stop) {
  fleet_.set_stop(stop);
  schedule();
}

void FleetRunner::renew(std::optional<SlotId> slot, std::function<void(Outcome)> done) {
  if (fleet_.stop() != Fleet::Stop::No) return done(Error{{}, "the supervisor is stopping"});
  renewals_.begin(slot, std::move(done));
  schedule();
}

void FleetRunner::set_size(unsigned size, std::function<void(Outcome)> done) {
  if (fleet_.stop() != Fleet::Stop::No) return done(Error{{}, "the supervisor is stopping"});
  if (size > slots_.size()) {
    if (Outcome grown = steerer_.grow(size); !grown) return done(std::move(grown));
    slots_.resize(size);
    told_.resize(size, Dispatcher::SlotState::Held);
    dispatcher_.resize(size);
  }
  if (size < dispatcher_.table().slots()) {
    dispatcher_.set_table(equal_shares(size));
    steerer_.refresh();
  }
  size_ = size;
  fleet_.set_size(size);
  wishes_.push_back({[this] { return sized(); }, std::move(done)});
  schedule();
}

void FleetRunner::set_drained(SlotId slot, bool drained, std::function<void(Outcome)> done) {
  if (fleet_.stop() != Fleet::Stop::No) return done(Error{{}, "the supervisor is stopping"});
  fleet_.set_drained(slot, drained);
  const auto settled = [this, slot, drained]() -> std::optional<Outcome> {
    if (slot.value >= fleet_.slots().size()) return Error{{}, "the slot has gone"};
    const Fleet::Slot& state = fleet_.slots()[slot.value];
    if (state.drained != drained) return Error{{}, "somebody has wished the opposite meanwhile"};
    const bool empty = !state.incumbent && !state.successor && state.departing.empty();
    const bool serves = state.incumbent && std::holds_alternative<Fleet::Serving>(state.incumbent->phase);
    if (drained ? empty : serves) return Done{};
    if (!drained && std::holds_alternative<Fleet::Resting>(state.pause)) {
      return Error{{}, "no worker stays up there: " + slots_[slot.value].last_exit.value_or("it did not start")};
    }
    return std::nullopt;
  };
  wishes_.push_back({settled, std::move(done)});
  schedule();
}

void FleetRunner::on_policy_changed() {
  Fleet::Policy policy = pool_.fleet;
  // A slot has two sockets. Whoever departs goes on accepting at his until he is told to end: nobody else may have it.
  const std::optional<Intake> intake = settlement_.intake();
  if (intake && intake != Intake::Sdk && settlement_.plane() == Plane::Steer) policy.linger = 0;
  fleet_.set_policy(policy);
  schedule();
}

void FleetRunner::roll(std::function<void(Outcome)> done) {
  if (fleet_.stop() != Fleet::Stop::No) return done(Error{{}, "the supervisor is stopping"});
  if (roll_back_to_) return done(Error{{}, "another reload is replacing the workers: wait for its end"});
  roll_back_to_ = generation_;
  rolled_ = std::move(done);
  generation_ = Generation{++last_generation_};
  spdlog::info("pool {}: generation {} replaces {}", pool_.name, generation_.value, roll_back_to_->value);
  fleet_.set_generation(generation_);
  schedule();
}

void FleetRunner::settle_roll() {
  if (!roll_back_to_) return;
  for (const Fleet::Slot& slot : fleet_.slots()) {
    if (slot.drained) continue;
    const bool renewed = slot.incumbent && std::holds_alternative<Fleet::Serving>(slot.incumbent->phase) &&
                         slot.incumbent->generation == generation_;
    if (!renewed) return;
  }
  roll_back_to_.reset();
  std::exchange(rolled_, nullptr)(Done{});
}

void FleetRunner::fail_roll(const std::string& why) {
  if (!roll_back_to_) return;
  spdlog::error("pool {}: generation {} is given up, and {} comes back: {}", pool_.name, generation_.value,
                roll_back_to_->value, why);
  generation_ = *std::exchange(roll_back_to_, std::nullopt);
  fleet_.set_generation(generation_);
  std::exchange(rolled_, nullptr)(Error{{}, why + "; the workers of before serve on"});
  schedule();
}

// New slots take their share of the clients when each of them serves, or has shown that it does not.
void FleetRunner::adopt_size() {
  const unsigned before = dispatcher_.table().slots();
  if (size_ <= before || fleet_.slots().size() < size_) return;
  for (unsigned i = before; i < size_; i++) {
    const Fleet::Slot& slot = fleet_.slots()[i];
    const bool serves = slot.incumbent && std::holds_alternative<Fleet::Serving>(slot.incumbent->phase);
    if (!serves && !slot.lent) return;
  }
  spdlog::info("pool {}: {} slots serve, in place of {}", pool_.name, size_, before);
  dispatcher_.set_table(equal_shares(size_));
  steerer_.refresh();
}

std::optional<Outcome> FleetRunner::sized() const {
  if (dispatcher_.table().slots() != size_ || slots_.size() != size_) return std::nullopt;
  for (unsigned i = 0; i < size_; i++) {
    if (!fleet_.slots()[i].lent || fleet_.slots()[i].drained) continue;
    return Error{{}, "slot " + std::to_string(i) + " has no worker: " + slots_[i].last_exit.value_or("it is starting")};
  }
  return Done{};
}

void FleetRunner::settle_wishes() {
  std::vector<Wish> open;
  for (Wish& wish : std::exchange(wishes_, {})) {
    if (const std::optional<Outcome> outcome = wish.settled()) {
      wish.done(*outcome);
    } else {
      open.push_back(std::move(wish));
    }
  }
  std::move(open.begin(), open.end(), std::back_inserter(wishes_));
}

void FleetRunner::catch_up() {
  if (scheduled_) reconcile();
}

void FleetRunner::refuse_waiting() {
  for (Slot& slot : slots_) {
    if (!slot.inbox) continue;
    for (std::vector<Connection> some; !(some = slot.inbox->take_back_some()).empty();)
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
  for (const Fleet::Action& action : fleet_.reconcile(now)) {
    std::visit([this](const auto& a) { perform(a); }, action);
  }
  tell_dispatcher();
  adopt_size();
  renewals_.settle();
  settle_roll();
  settle_wishes();
  due_ = fleet_.next_deadline();
  timer_.arm(due_);
}

void FleetRunner::forgive_silence(TimePoint now) {
  spdlog::warn("the supervisor did not run for {}: heartbeats count anew from now", seconds_text(now - due_));
  for (const auto& [id, occupant] : occupants_) fleet_.on_heartbeat(id, now);
}

void FleetRunner::sample_heartbeats(TimePoint now) {
  for (const auto& [id, occupant] : occupants_) {
    const Inbox* const inbox = inbox_of(occupant);
    if (occupant.spoke && inbox != nullptr) fleet_.on_heartbeat(id, inbox->heartbeat(now));
    if (!occupant.beats) fleet_.on_heartbeat(id, now);  // it never said that it would
  }
}

void FleetRunner::perform(const Fleet::StartWorker& action) {
  const auto released = reserve_.release();  // that clients have every descriptor is no failure of a worker
  Occupant& occupant = occupants_[action.worker];
  occupant.slot = action.slot;
  occupant.generation = action.generation;
  occupant.started = loop_.now();
  const Outcome started = start(occupant, action.worker, action.role);
  if (started) {
    slots_[action.slot.value].starts++;
    spdlog::info("{}: started pid {}{}", label(action.slot), occupant.process->pid(),
                 action.role == Fleet::Role::Successor ? " as successor" : "");
    return;
  }
  occupants_.erase(action.worker);
  Slot& slot = slots_[action.slot.value];
  spdlog::error("{}: cannot start a worker: {}", label(action.slot), started.error().message());
  slot.last_exit = "not started: " + started.error().message();
  slot.last_lines.clear();
  if (action.role == Fleet::Role::Incumbent) renewals_.fail(action.slot, *slot.last_exit);
  if (action.role == Fleet::Role::Incumbent && action.generation == generation_) fail_roll(*slot.last_exit);
  fleet_.on_start_failed(action.worker, Fleet::WorkerEnd::Ended, loop_.now());
  schedule();
}

Outcome FleetRunner::start(Occupant& occupant, WorkerId worker, Fleet::Role role) {
  Slot& slot = slots_[occupant.slot.value];
  const bool successor = role == Fleet::Role::Successor;
  if (successor || !slot.inbox) {
    Result<std::unique_ptr<Inbox>> inbox = make_inbox();
    if (!inbox) return std::move(inbox).error();
    (successor ? occupant.own_inbox : slot.inbox) = *std::move(inbox);
    if (!successor) dispatcher_.set_inbox(occupant.slot, slot.inbox.get());
  }
  Inbox& inbox = *(occupant.own_inbox ? occupant.own_inbox : slot.inbox);
  inbox.settle();
  (void)inbox.flush();  // dropped, and so closed
  Result<std::unique_ptr<NotifySocket>> notify = make_notify_socket(worker);
  if (!notify) return std::move(notify).error();
  occupant.notify = *std::move(notify);
  occupant.offer = settlement_.offer();
  if (!has_capture_) occupant.offer.capture = false;
  if (steerer_.empty()) occupant.offer.listen_fds = occupant.offer.capture = occupant.offer.sockets = false;
  occupant.turn = successor ? other(steerer_.turn(occupant.slot)) : steerer_.turn(occupant.slot);

  Launch launch{occupant.slot, slots(), occupant.generation, occupant.offer, inbox, dispatcher_.listeners(), {}, {}};
  launch.notify_address = occupant.notify->address();
  if (occupant.offer.listen_fds || occupant.offer.channel)
    launch.sockets = steerer_.sockets(occupant.slot, occupant.turn);
  occupant.holds_sockets = !launch.sockets.empty();
  if (Outcome set = set_socket_modes(launch); !set) return set;
  WorkerProcess::Hooks hooks;
  hooks.on_line = hooks_.on_line;
  hooks.on_exit = [this, worker](const ExitStatus& status) { on_exit(worker, status); };
  Result<std::unique_ptr<WorkerProcess>> process =
      WorkerProcess::start(loop_, plan_launch(pool_, launch), pool_.name, occupant.slot, std::move(hooks));
  if (!process) return std::move(process).error();
  occupant.process = *std::move(process);
  steerer_.occupy(occupant.slot, occupant.turn);
  watch_for_signs(occupant, worker);
  return Done{};
}

void FleetRunner::watch_for_signs(Occupant& occupant, WorkerId worker) {
  if (occupant.offer.capture) occupant.capture = make_capture(occupant, worker);
  const std::optional<Intake> intake = settlement_.intake();
  const bool may_tell_nothing = !intake || intake == Intake::ListenFds || intake == Intake::None;
  if (!may_tell_nothing) return;
  occupant.grace = std::make_unique<Timer>(loop_, [this, worker] { on_grace_over(worker); });
  occupant.grace->arm(loop_.now() + pool_.start_grace);
}

std::unique_ptr<Capture> FleetRunner::make_capture(Occupant& occupant, WorkerId worker) {
  UniqueFd notifications = occupant.process->take_capture();
  if (!notifications) return nullptr;  // it was killed before it could exec
  // The worker may have left its turn to another (Promote): what counts is where it is when it binds.
  const auto resolve = [this, worker](std::size_t listener, SocketDomain domain) -> Result<BorrowedFd> {
    Occupant& binding = occupants_.at(worker);
    binding.holds_sockets = true;
    return steerer_.socket_for(listener, domain, binding.slot, binding.turn);
  };
  Capture::Hooks hooks;
  hooks.on_captured = [this, worker](std::size_t listener) { on_captured(worker, listener); };
  hooks.on_listen = [this, worker](std::size_t listener) {
    // Had it bound the socket, that would have settled it: so the socket is inherited.
    if (settlement_.on_ready_without_sign()) on_settled();
    on_ready(worker, "it listens on " + steerer_.name_of(listener));
  };
  hooks.on_other_bind = [this, worker](const std::string& address) { on_other_bind(worker, address); };
  hooks.on_failed = [this, worker](const Error& error) {
    const Occupant& failed = occupants_.at(worker);
    spdlog::error("{}: pid {} cannot be given its socket: {}", label(failed.slot), failed.process->pid(),
                  error.message());
  };
  auto capture =
      std::make_unique<Capture>(loop_, std::move(notifications), steerer_.managed(), resolve, std::move(hooks));
  if (occupant.offer.listen_fds) {
    const std::vector<Steerer::GivenSocket> sockets = steerer_.sockets(occupant.slot, occupant.turn);
    for (std::size_t i = 0; i < sockets.size(); i++) {
      if (const Outcome known = capture->add_socket(i, sockets[i].fd); !known) {
        spdlog::warn("{}: {}", label(occupant.slot), known.error().message());
      }
    }
  }
  return capture;
}

Result<std::unique_ptr<NotifySocket>> FleetRunner::make_notify_socket(WorkerId worker) {
  return NotifySocket::create(loop_, getuid(),
                              [this, worker](const NotifyMessage& message, pid_t) { on_notify(worker, message); });
}

void FleetRunner::perform(const Fleet::Promote& action) {
  Slot& slot = slots_[action.slot.value];
  Occupant& successor = occupants_.at(action.worker);
  std::unique_ptr<Inbox> old = std::exchange(slot.inbox, std::move(successor.own_inbox));
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
  spdlog::info("{}: pid {} drains, for at most {}", label(occupant->second.slot), occupant->second.process->pid(),
               seconds_text(action.deadline - loop_.now()));
  if (occupant->second.spoke) {
    // Its successor can be passed what still comes to its socket.
    if (!steerer_.is_chosen(occupant->second.slot, occupant->second.turn)) {
      steerer_.take_over(occupant->second.slot, occupant->second.turn);
    }
    if (Inbox* inbox = inbox_of(occupant->second)) inbox->drain(action.deadline);
    return;
  }
  occupant->second.farewell = std::make_unique<Timer>(loop_, [this, worker = action.worker] { say_goodbye(worker); });
  const bool at_once = fleet_.stop() != Fleet::Stop::No || settlement_.plane() != Plane::Steer ||
                       steerer_.is_chosen(occupant->second.slot, occupant->second.turn);
  occupant->second.farewell->arm(loop_.now() + (at_once ? Duration::zero() : kHandshake));
}

// It knows no drain but SIGTERM, and may take that as the end: so first it serves its queue out.
void FleetRunner::say_goodbye(WorkerId worker) {
  Occupant& occupant = occupants_.at(worker);
  const bool queued = steerer_.waiting(occupant.slot, occupant.turn) > 0 && fleet_.stop() == Fleet::Stop::No;
  if (queued) return occupant.farewell->arm(loop_.now() + kFarewellPoll);
  occupant.process->signal(SIGTERM);
}

void FleetRunner::perform(const Fleet::SignalWorker& action) {
  const auto occupant = occupants_.find(action.worker);
  if (occupant == occupants_.end()) return;
  const int number = signal_number(action.signal);
  spdlog::log(action.why == Fleet::Why::Stopping ? spdlog::level::info : spdlog::level::warn, "{}: {} to pid {}: {}",
              label(occupant->second.slot), signal_name(number), occupant->second.process->pid(),
              reason_text(action.why));
  if (action.why == Fleet::Why::NotReady) {
    spdlog::warn("{}: {}", label(occupant->second.slot), missing_sign(occupant->second));
  }
  if (!occupant->second.told_to_end) occupant->second.told_to_end = action.why;
  occupant->second.process->signal(number);
}

void FleetRunner::perform(const Fleet::LendBuckets& action) {
  spdlog::warn("{}: no worker accepts there: its clients go to their next choice until it is back", label(action.slot));
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

void FleetRunner::perform(const Fleet::AbandonRenewal& action) {
  const Slot& slot = slots_[action.slot.value];
  const std::string why = "the successor in slot " + std::to_string(action.slot.value) + " failed (" +
                          slot.last_exit.value_or("unknown") + ")" + quote(slot.last_lines);
  const bool served = fleet_.slots()[action.slot.value].incumbent.has_value();
  spdlog::error("{}: restart abandoned, {}: {}", label(action.slot),
                served ? "the present worker serves on" : "a new worker is started as after a crash", why);
  renewals_.fail(action.slot, why);
  fail_roll(why);
}

void FleetRunner::perform(const Fleet::GiveUp&) {
  const Slot& slot = slots_.front();
  const std::string wrote =
      slot.last_lines.empty() ? "; it wrote nothing: run it by hand to see why" : quote(slot.last_lines);
  hooks_.on_give_up(fmt::format("no worker of pool {} stays up: `{}` {}{}", pool_.name, fmt::join(pool_.command, " "),
                                slot.last_exit.value_or("did not start"), wrote));
}

void FleetRunner::perform(const Fleet::Finished&) {
  renewals_.fail_all(Error{{}, "the supervisor stopped"});
  for (const Wish& wish : std::exchange(wishes_, {})) wish.done(Error{{}, "the supervisor stopped"});
  if (std::exchange(roll_back_to_, std::nullopt)) std::exchange(rolled_, nullptr)(Error{{}, "the supervisor stopped"});
  hooks_.on_finished();
}

Result<std::unique_ptr<Inbox>> FleetRunner::make_inbox() {
  Inbox::Hooks hooks;
  hooks.on_frame = [this](Inbox& inbox, const WorkerFrame& frame) { on_frame(inbox, frame); };
  hooks.on_garbage = [this](Inbox& inbox, const Error& error) { on_garbage(inbox, error); };
  hooks.on_room = [this] { dispatcher_.on_room(); };
  return Inbox::create(loop_, std::move(hooks));
}

Inbox* FleetRunner::inbox_of(const Occupant& occupant) const {
  return occupant.own_inbox ? occupant.own_inbox.get() : slots_[occupant.slot.value].inbox.get();
}

std::optional<WorkerId> FleetRunner::worker_on(const Inbox& inbox) const {
  for (const auto& [id, occupant] : occupants_) {
    if (inbox_of(occupant) == &inbox) return id;
  }
  return std::nullopt;
}

std::string FleetRunner::label(SlotId slot) const { return pool_.name + "/" + std::to_string(slot.value); }

void FleetRunner::on_frame(Inbox& inbox, const WorkerFrame& frame) {
  const std::optional<WorkerId> worker = worker_on(inbox);
  if (!worker) return;
  Occupant& occupant = occupants_.at(*worker);
  if (const auto* hello = std::get_if<HelloFrame>(&frame)) {
    occupant.spoke = occupant.beats = true;
    if (settlement_.on_hello()) on_settled();
    if (hello->version < HF_PROTOCOL_VERSION)
      on_garbage(inbox, Error{{}, "it speaks no protocol version that we know"});
  } else if (std::holds_alternative<ReadyFrame>(frame)) {
    on_ready(*worker, {});
  } else if (const auto* lost = std::get_if<LostFrame>(&frame)) {
    spdlog::error(
        "{}: pid {} is at its limit of open files: the kernel dropped {} connections that were on their way to it",
        label(occupant.slot), occupant.process->pid(), lost->descriptors);
  }
}

void FleetRunner::on_notify(WorkerId worker, const NotifyMessage& message) {
  Occupant& occupant = occupants_.at(worker);
  if (message.watchdog == NotifyMessage::Watchdog::Beat) {
    occupant.beats = true;
    fleet_.on_heartbeat(worker, loop_.now());
    schedule();
  }
  if (message.is_ready) {
    if (settlement_.on_ready_without_sign()) on_settled();
    on_ready(worker, "READY=1");
  }
}

void FleetRunner::on_captured(WorkerId worker, std::size_t listener) {
  if (settlement_.on_capture()) on_settled();
  Occupant& occupant = occupants_.at(worker);
  occupant.bound = true;
  if (steerer_.is_datagram(listener)) return on_ready(worker, "it serves " + steerer_.name_of(listener));
  // Some look whether the socket listens already, as ours does, and then never call listen.
  if (!occupant.grace) occupant.grace = std::make_unique<Timer>(loop_, [this, worker] { on_grace_over(worker); });
  occupant.grace->arm(loop_.now() + pool_.start_grace);
}

void FleetRunner::on_grace_over(WorkerId worker) {
  const Occupant& occupant = occupants_.at(worker);
  if (occupant.bound) return on_ready(worker, "it has bound an address of ours, and lived through --start-grace");
  // One that binds elsewhere has not taken the inherited sockets.
  const bool open = !settlement_.intake();
  if (open && !occupant.other_binds.empty()) return;
  if (settlement_.intake() == Intake::Capture || settlement_.intake() == Intake::Sdk) return;
  if (settlement_.on_ready_without_sign()) on_settled();
  on_ready(worker, "it has lived through --start-grace");
}

void FleetRunner::on_ready(WorkerId worker, std::string_view how) {
  // Also for one that had been taken for ready before it bound (on_grace_over). Not now: some programs bind one family,
  // listen, and then bind the other.
  const bool first = settlement_.intake() == Intake::Capture && !std::exchange(retired_unwanted_, true);
  if (first) retiring_.arm(loop_.now() + pool_.start_grace);
  const Occupant& occupant = occupants_.at(worker);
  const Fleet::Worker* const known = fleet_.find(worker);
  if (known == nullptr || !std::holds_alternative<Fleet::Starting>(known->phase)) return;
  spdlog::info("{}: pid {} is ready after {:.0f} ms{}{}", label(occupant.slot), occupant.process->pid(),
               std::chrono::duration<double, std::milli>(loop_.now() - occupant.started).count(),
               how.empty() ? "" : ": ", how);
  fleet_.on_ready(worker, loop_.now());
  schedule();
}

void FleetRunner::on_other_bind(WorkerId worker, const std::string& address) {
  if (address.starts_with("unix:") || address.starts_with("udp:")) return;
  Occupant& occupant = occupants_.at(worker);
  if (occupant.other_binds.size() >= kBindsTold) return;
  occupant.other_binds.push_back(address);
  // It was taken for one that serves the inherited sockets, because it had lived for so long without a bind.
  if (pool_.intake == Intake::Auto && settlement_.intake() == Intake::ListenFds) {
    spdlog::warn("{}: {}", label(occupant.slot), missing_sign(occupant));
  }
}

void FleetRunner::on_settled() {
  const Intake intake = *settlement_.intake();
  if (pool_.intake == Intake::Auto) {
    spdlog::info("pool {}: intake {}, plane {}", pool_.name, value_text(intake), value_text(settlement_.plane()));
  }
  on_policy_changed();
  const bool passing = intake == Intake::Sdk;
  dispatcher_.set_passing(passing);
  steerer_.settle(intake, settlement_.plane());
  if (passing) return;
  // Nobody will ever read the inboxes. Who waits there came before his listener had its program.
  for (const Slot& slot : slots_) {
    if (slot.inbox) place_again(*slot.inbox);
  }
  dispatcher_.on_room();
}

void FleetRunner::on_stalled(SlotId slot, bool stalled) {
  const std::optional<Fleet::Worker>& incumbent = fleet_.slots()[slot.value].incumbent;
  if (!incumbent) return;
  if (stalled) {
    spdlog::warn("{}: its worker lives and has accepted nobody for {}: new clients go elsewhere until it does",
                 label(slot), to_text(stall_limit(pool_.fleet.hold_timeout)));
  }
  fleet_.on_stalled(incumbent->id, stalled);
  schedule();
}

// Why a worker that was not ready in time may not have been.
std::string FleetRunner::missing_sign(const Occupant& occupant) const {
  if (!occupant.other_binds.empty()) {
    std::string listeners;
    for (const std::unique_ptr<Listener>& listener : dispatcher_.listeners()) {
      listeners += (listeners.empty() ? "" : ", ") + to_text(listener->address());
    }
    return fmt::format("it listens on {}, and not on {}: change its address, or -l",
                       fmt::join(occupant.other_binds, ", "), listeners);
  }
  if (occupant.offer.capture && !occupant.offer.channel)
    return "it has bound no address of ours (holdfast(7), capture)";
  if (occupant.spoke) return "it said HELLO, and not that it is ready";
  return "it never spoke on its channel: is the program linked with the worker SDK (holdfast-worker(3))?";
}

void FleetRunner::on_garbage(Inbox& inbox, const Error& error) {
  const std::optional<WorkerId> worker = worker_on(inbox);
  if (!worker) return;
  const Occupant& occupant = occupants_.at(*worker);
  spdlog::error("{}: pid {} broke the channel protocol ({}): it will be killed and replaced", label(occupant.slot),
                occupant.process->pid(), error.message());
  slots_[occupant.slot.value].protocol_errors++;
  fleet_.on_misbehaved(*worker);
  schedule();
}

void FleetRunner::on_exit(WorkerId worker, const ExitStatus& status) {
  const auto found = occupants_.find(worker);
  if (found == occupants_.end()) return;
  found->second.notify->on_ended();
  // From here on nobody speaks for it, whoever else has the address of its socket, or its filter.
  found->second.notify.reset();
  found->second.capture.reset();
  Occupant occupant = std::move(found->second);
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
  const bool expected = known != nullptr && (std::holds_alternative<Fleet::Draining>(known->phase) ||
                                             (fleet_.stop() != Fleet::Stop::No && status == ExitStatus{}));
  // Who knows no drain but SIGTERM may die of it.
  const bool by_farewell = expected && occupant.farewell && status.signal == SIGTERM;
  if (by_farewell || (expected && status == ExitStatus{})) {
    spdlog::info("{}: pid {} has {}", label(occupant.slot), occupant.process->pid(),
                 by_farewell ? "left on SIGTERM" : "drained and left");
  } else {
    spdlog::warn("{}: pid {} {}{}{}", label(occupant.slot), occupant.process->pid(), to_text(status), hint,
                 quote(slot.last_lines));
  }
  const std::vector<int>& final_codes = pool_.no_restart_codes;
  const bool final = status.signal == 0 && std::count(final_codes.begin(), final_codes.end(), status.code) > 0;
  steerer_.vacate(occupant.slot, occupant.turn);
  fleet_.on_exited(worker, final ? Fleet::WorkerEnd::DoNotRestart : Fleet::WorkerEnd::Ended, loop_.now());
  if (occupant.own_inbox) {
    place_again(*occupant.own_inbox);
    retire(occupant.slot, std::move(occupant.own_inbox));
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
  // We are inside the callback of the process's own watcher.
  loop_.defer([gone = std::make_shared<Occupant>(std::move(occupant))] {});
  schedule();
}

void FleetRunner::retire(SlotId slot, std::unique_ptr<Inbox> inbox) {
  inbox->settle();
  const Inbox::Account account = inbox->account();
  slots_[slot.value].retired_handed += account.taken;
  slots_[slot.value].retired_accepted += account.accepted;
  slots_[slot.value].retired_lost += account.lost;
  // We may be inside one of its callbacks.
  loop_.defer([kept = std::shared_ptr<Inbox>(std::move(inbox))] {});
}

void FleetRunner::place_again(Inbox& inbox) {
  for (std::vector<Connection> some; !(some = inbox.take_back_some()).empty();) dispatcher_.redispatch(std::move(some));
}

// What waits in a channel that a worker has shut down follows into a new one.
void FleetRunner::replace_inbox(SlotId id) {
  Slot& slot = slots_[id.value];
  std::unique_ptr<Inbox> old = std::move(slot.inbox);
  if (Result<std::unique_ptr<Inbox>> made = make_inbox()) slot.inbox = *std::move(made);
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
