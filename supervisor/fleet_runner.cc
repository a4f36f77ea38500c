#include "fleet_runner.h"

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "config/values.h"
#include "sys/environment.h"
#include "worker_texts.h"

namespace holdfast {

namespace {

// Descriptors in a worker: after 0, 1 and 2.
constexpr int kChannelFd = 3;
constexpr int kPageFd = 4;
// A deadline that is met so late was not met by a busy supervisor but by one that did not run.
constexpr Duration kOverslept = std::chrono::seconds(1);

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

// ',', '=' and '%' would end a name or an address too early.
std::string escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == ',' || c == '=' || c == '%') {
      escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      escaped += c;
    }
  }
  return escaped;
}

}  // namespace

FleetRunner::FleetRunner(Loop& loop, const PoolConfig& pool, Dispatcher& dispatcher, Hooks hooks)
    : loop_(loop),
      pool_(pool),
      dispatcher_(dispatcher),
      hooks_(std::move(hooks)),
      fleet_(pool.fleet, pool.workers, Generation{1}, static_cast<std::uint64_t>(getpid())),
      renewals_(fleet_),
      slots_(pool.workers),
      told_(pool.workers, Dispatcher::SlotState::Held),
      timer_(loop, [this] { schedule(); }) {}

FleetRunner::~FleetRunner() {
  for (auto& [id, occupant] : occupants_) {
    if (occupant.process) occupant.process->signal(SIGKILL);
  }
}

void FleetRunner::start() { reconcile(); }

void FleetRunner::stop(Fleet::Stop stop) {
  fleet_.set_stop(stop);
  schedule();
}

void FleetRunner::renew(std::optional<SlotId> slot, std::function<void(Outcome)> done) {
  if (fleet_.stop() != Fleet::Stop::No) return done(Error{{}, "the supervisor is stopping"});
  renewals_.begin(slot, std::move(done));
  schedule();
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
  sample_heartbeats(now);
  // A stopped container, a debugger: then nobody ran, and the silence of the workers says nothing.
  if (due_ != kNever && now > due_ + kOverslept) forgive_silence(now);
  for (const Fleet::Action& action : fleet_.reconcile(now)) {
    std::visit([this](const auto& a) { perform(a); }, action);
  }
  tell_dispatcher();
  renewals_.settle();
  due_ = fleet_.next_deadline();
  timer_.arm(due_);
}

void FleetRunner::forgive_silence(TimePoint now) {
  spdlog::warn("the supervisor did not run for {}: heartbeats count anew from now", seconds_text(now - due_));
  for (const auto& [id, occupant] : occupants_) fleet_.on_heartbeat(id, now);
}

void FleetRunner::sample_heartbeats(TimePoint now) {
  for (const auto& [id, occupant] : occupants_) {
    if (const Inbox* inbox = inbox_of(occupant)) fleet_.on_heartbeat(id, inbox->heartbeat(now));
  }
}

void FleetRunner::perform(const Fleet::StartWorker& action) {
  Slot& slot = slots_[action.slot.value];
  const auto fail = [&](const Error& error) {
    spdlog::error("{}: cannot start a worker: {}", label(action.slot), error.message());
    slot.last_exit = "not started: " + error.message();
    slot.last_lines.clear();
    if (action.role == Fleet::Role::Incumbent) renewals_.fail(action.slot, *slot.last_exit);
    fleet_.on_start_failed(action.worker, Fleet::WorkerEnd::Ended, loop_.now());
    schedule();
  };
  Occupant occupant{action.slot, action.generation, loop_.now(), nullptr, nullptr, false, std::nullopt};
  if (action.role == Fleet::Role::Successor || !slot.inbox) {
    Result<std::unique_ptr<Inbox>> inbox = make_inbox();
    if (!inbox) return fail(inbox.error());
    (action.role == Fleet::Role::Successor ? occupant.own_inbox : slot.inbox) = *std::move(inbox);
    if (action.role == Fleet::Role::Incumbent) dispatcher_.set_inbox(action.slot, slot.inbox.get());
  }
  Inbox& inbox = *(occupant.own_inbox ? occupant.own_inbox : slot.inbox);
  inbox.settle();
  (void)inbox.flush();  // dropped, and so closed
  WorkerProcess::Hooks hooks;
  hooks.on_line = hooks_.on_line;
  hooks.on_exit = [this, worker = action.worker](const ExitStatus& status) { on_exit(worker, status); };
  Result<std::unique_ptr<WorkerProcess>> process = WorkerProcess::start(
      loop_, plan_for(action.slot, action.generation, inbox), pool_.name, action.slot, std::move(hooks));
  if (!process) return fail(process.error());
  occupant.process = *std::move(process);
  slot.starts++;
  spdlog::info("{}: started pid {}{}", label(action.slot), occupant.process->pid(),
               action.role == Fleet::Role::Successor ? " as successor" : "");
  occupants_.emplace(action.worker, std::move(occupant));
}

void FleetRunner::perform(const Fleet::Promote& action) {
  Slot& slot = slots_[action.slot.value];
  Occupant& successor = occupants_.at(action.worker);
  std::unique_ptr<Inbox> old = std::exchange(slot.inbox, std::move(successor.own_inbox));
  dispatcher_.set_inbox(action.slot, slot.inbox.get());
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
  if (Inbox* inbox = inbox_of(occupant->second)) inbox->drain(action.deadline);
}

void FleetRunner::perform(const Fleet::SignalWorker& action) {
  const auto occupant = occupants_.find(action.worker);
  if (occupant == occupants_.end()) return;
  const int number = signal_number(action.signal);
  spdlog::log(action.why == Fleet::Why::Stopping ? spdlog::level::info : spdlog::level::warn, "{}: {} to pid {}: {}",
              label(occupant->second.slot), signal_name(number), occupant->second.process->pid(),
              reason_text(action.why));
  if (action.why == Fleet::Why::NotReady && !occupant->second.spoke) {
    spdlog::warn("{}: it never spoke on its channel: is the program linked with the worker SDK (holdfast-worker(3))?",
                 label(occupant->second.slot));
  }
  if (!occupant->second.told_to_end) occupant->second.told_to_end = action.why;
  occupant->second.process->signal(number);
}

void FleetRunner::perform(const Fleet::LendBuckets& action) {
  spdlog::warn("{}: no worker serves it: its clients go to their next choice until it is back", label(action.slot));
  told_[action.slot.value] = Dispatcher::SlotState::Lent;
  dispatcher_.set_state(action.slot, Dispatcher::SlotState::Lent);
  if (Slot& slot = slots_[action.slot.value]; slot.inbox) place_again(*slot.inbox);
}

void FleetRunner::perform(const Fleet::ReturnBuckets& action) {
  spdlog::info("{}: serves its own clients again", label(action.slot));
}

void FleetRunner::perform(const Fleet::RemoveSlot& action) {
  Slot& slot = slots_[action.slot.value];
  if (!slot.inbox) return;
  dispatcher_.set_inbox(action.slot, nullptr);
  place_again(*slot.inbox);
  retire(action.slot, std::move(slot.inbox));
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
  hooks_.on_finished();
}

Result<std::unique_ptr<Inbox>> FleetRunner::make_inbox() {
  Inbox::Hooks hooks;
  hooks.on_frame = [this](Inbox& inbox, const WorkerFrame& frame) { on_frame(inbox, frame); };
  hooks.on_garbage = [this](Inbox& inbox, const Error& error) { on_garbage(inbox, error); };
  hooks.on_room = [this] { dispatcher_.on_room(); };
  return Inbox::create(loop_, std::move(hooks));
}

SpawnPlan FleetRunner::plan_for(SlotId slot, Generation generation, const Inbox& inbox) const {
  std::string listeners;
  for (const std::unique_ptr<Listener>& listener : dispatcher_.listeners()) {
    if (!listeners.empty()) listeners += ',';
    listeners += escape(listener->name()) + "=" + escape(to_text(listener->address()));
  }
  const Duration heartbeat = pool_.fleet.heartbeat_timeout;
  SpawnPlan plan;
  plan.command = pool_.command;
  plan.working_directory = pool_.working_directory;
  plan.environment = inherited_environment(pool_.environment);
  const auto set = [&](const char* name, std::string value) { plan.environment.emplace_back(name, std::move(value)); };
  set(HF_ENV_CHANNEL, std::to_string(kChannelFd));
  set(HF_ENV_PAGE, std::to_string(kPageFd));
  set(HF_ENV_SLOT, std::to_string(slot.value));
  set(HF_ENV_SLOTS, std::to_string(slots_.size()));
  set(HF_ENV_GENERATION, std::to_string(generation.value));
  set(HF_ENV_POOL, pool_.name);
  set(HF_ENV_HEARTBEAT, std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(heartbeat).count()));
  set(HF_ENV_LISTENERS, listeners);
  plan.fds = {{inbox.worker_end(), kChannelFd}, {inbox.page_fd(), kPageFd}};
  return plan;
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
    occupant.spoke = true;
    if (hello->version < HF_PROTOCOL_VERSION)
      on_garbage(inbox, Error{{}, "it speaks no protocol version that we know"});
  } else if (std::holds_alternative<ReadyFrame>(frame)) {
    spdlog::info("{}: pid {} is ready after {:.0f} ms", label(occupant.slot), occupant.process->pid(),
                 std::chrono::duration<double, std::milli>(loop_.now() - occupant.started).count());
    fleet_.on_ready(*worker, loop_.now());
    schedule();
  } else if (const auto* lost = std::get_if<LostFrame>(&frame)) {
    spdlog::error(
        "{}: pid {} is at its limit of open files: the kernel dropped {} connections that were on their way to it",
        label(occupant.slot), occupant.process->pid(), lost->descriptors);
  }
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
  Occupant occupant = std::move(found->second);
  occupants_.erase(found);
  Slot& slot = slots_[occupant.slot.value];
  slot.last_exit = to_text(status);
  if (occupant.told_to_end) *slot.last_exit += ": " + std::string(reason_text(*occupant.told_to_end));
  if (occupant.told_to_end == Fleet::Why::NotReady && !occupant.spoke) {
    *slot.last_exit += ", and never spoke the worker protocol: holdfast-worker(3)";
  }
  slot.last_lines = occupant.process->last_lines();
  const Fleet::Worker* known = fleet_.find(worker);
  const bool expected = known != nullptr && (std::holds_alternative<Fleet::Draining>(known->phase) ||
                                             (fleet_.stop() != Fleet::Stop::No && status == ExitStatus{}));
  if (expected && status == ExitStatus{}) {
    spdlog::info("{}: pid {} has drained and left", label(occupant.slot), occupant.process->pid());
  } else {
    spdlog::warn("{}: pid {} {}{}", label(occupant.slot), occupant.process->pid(), to_text(status),
                 quote(slot.last_lines));
  }
  const std::vector<int>& final_codes = pool_.no_restart_codes;
  const bool final = status.signal == 0 && std::count(final_codes.begin(), final_codes.end(), status.code) > 0;
  fleet_.on_exited(worker, final ? Fleet::WorkerEnd::DoNotRestart : Fleet::WorkerEnd::Ended, loop_.now());
  if (occupant.own_inbox) {
    place_again(*occupant.own_inbox);
    retire(occupant.slot, std::move(occupant.own_inbox));
  } else if (slot.inbox) {
    slot.inbox->settle();
    if (slot.inbox->is_shut()) replace_inbox(occupant.slot);
    renewals_.fail_by(occupant.slot, worker,
                      fmt::format("the worker in slot {} {}{}", occupant.slot.value, slot.last_exit.value_or("ended"),
                                  quote(slot.last_lines)));
  }
  // We are inside the callback of the process's own watcher.
  loop_.defer([process = std::shared_ptr<WorkerProcess>(std::move(occupant.process))] {});
  schedule();
}

void FleetRunner::retire(SlotId slot, std::unique_ptr<Inbox> inbox) {
  inbox->settle();
  const Inbox::Account account = inbox->account();
  slots_[slot.value].retired_handed += account.taken;
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
    if (std::exchange(told_[i], state) != state) dispatcher_.set_state(SlotId{i}, state);
  }
}

}  // namespace holdfast
