#include <spdlog/spdlog.h>
#include <unistd.h>

#include <charconv>
#include <utility>

#include "bus/bus.h"
#include "config/chosen_intake.h"
#include "fleet_runner.h"

namespace holdfast {

namespace {

// Of descriptors that have no lasting name of the kernel's.
std::string name_of(const char* kind, const std::string& pool, WorkerId worker) {
  return std::string(kind) + "." + pool + "." + std::to_string(worker.value);
}

Capture::Sockets sockets_of(const SavedWorker& saved) {
  Capture::Sockets sockets;
  for (const auto& [text, listener] : saved.captured) {
    std::uint64_t cookie = 0;
    (void)std::from_chars(text.data(), text.data() + text.size(), cookie);  // none is 0
    sockets.emplace(cookie, listener);
  }
  return sockets;
}

}  // namespace

Outcome FleetRunner::adopt(const SavedPool& saved, FdTable& fds) {
  if (saved.slots.empty() || saved.slots.size() < saved.fleet.slots.size()) {
    return Error{{}, "take over pool " + pool_.name + ": its slots do not fit together"};
  }
  Fleet::Saved fleet = saved.fleet;
  for (Fleet::Slot& slot : fleet.slots) {  // the process that did it has ended with whoever asked
    if (slot.cleaning == Fleet::Cleaning::Asked) slot.cleaning = Fleet::Cleaning::Needed;
  }
  fleet_ = Fleet(pool_.fleet, std::move(fleet));
  settlement_ = Settlement(chosen_intake(pool_), pool_.plane, saved.found);
  if (!saved.has_steering) forgo_steering();
  has_capture_ = saved.has_capture;
  checks_ = saved.checks;
  retired_unwanted_ = saved.retired_unwanted;
  generation_ = saved.fleet.generation;
  last_generation_ = saved.last_generation;
  size_ = saved.fleet.wished_size;
  handed_before_ = saved.handed_before;
  if (node_ && saved.node) node_->adopt(*saved.node);
  slots_.clear();
  slots_.resize(saved.slots.size());
  told_.assign(saved.slots.size(), Dispatcher::SlotState::Held);
  for (std::uint32_t i = 0; i < saved.slots.size(); i++) {
    const SavedSlot& from = saved.slots[i];
    Slot& slot = slots_[i];
    slot.starts = from.starts;
    slot.retired_handed = from.retired_handed;
    slot.retired_accepted = from.retired_accepted;
    slot.retired_lost = from.retired_lost;
    slot.protocol_errors = from.protocol_errors;
    slot.last_exit = from.last_exit;
    slot.last_lines = from.last_lines;
    Result<std::unique_ptr<ConnectionSink>> inbox = adopt_inbox(from.inbox, from.node_inbox, fds);
    if (!inbox) return std::move(inbox).error();
    if (*inbox == nullptr) continue;
    slot.inbox = *std::move(inbox);
    dispatcher_.set_inbox(SlotId{i}, slot.inbox.get());
  }
  for (const SavedWorker& worker : saved.workers) {
    if (Outcome adopted = adopt(worker, fds); !adopted) return adopted;
  }
  give_up_unknown_workers();
  tell_dispatcher();
  // What the first ready worker has left undone is done once more.
  if (retired_unwanted_) retiring_.arm(loop_.now() + pool_.start_grace);
  return Done{};
}

Outcome FleetRunner::adopt(const SavedWorker& saved, FdTable& fds) {
  if (saved.slot.value >= slots_.size()) return Error{{}, "take over a worker of no slot"};
  UniqueFd pidfd = fds.take_if_there(saved.pidfd);
  if (!pidfd || saved.pid <= 1) return Done{};  // give_up_unknown_workers
  Occupant& occupant = occupants_[saved.id];
  occupant.slot = saved.slot;
  occupant.generation = saved.generation;
  occupant.started = saved.started;
  occupant.listeners = saved.listeners;
  occupant.offer = saved.offer;
  occupant.turn = saved.turn == 0 ? Turn::First : Turn::Second;
  occupant.holds_sockets = saved.holds_sockets;
  occupant.bound = saved.bound;
  occupant.spoke = saved.spoke;
  occupant.beats = saved.beats;
  occupant.took_leave = saved.took_leave;
  occupant.other_binds = saved.other_binds;
  occupant.told_to_end = saved.told_to_end;
  occupant.served_before = saved.served_before;
  const auto pid = static_cast<pid_t>(saved.pid);
  occupant.process =
      WorkerProcess::adopt(loop_, pid, std::move(pidfd),
                           OutputCapture::adopt(loop_, pool_.name, saved.slot, pid, saved.output, fds, hooks_.on_line),
                           hooks_of_process(saved.id));
  Result<std::unique_ptr<ConnectionSink>> inbox = adopt_inbox(saved.own_inbox, saved.own_node_inbox, fds);
  if (!inbox) return std::move(inbox).error();
  occupant.own_inbox = *std::move(inbox);
  if (node_ && occupant.offer.node) node_->adopt_worker(saved.id, static_cast<NodeInbox&>(*inbox_of(occupant)));
  if (hooks_.bus != nullptr && saved.bus != 0) occupant.bus = hooks_.bus->claim(saved.bus);
  steerer_.occupy(occupant.slot, occupant.turn);
  watch_for_signs_again(occupant, saved, fds);
  fleet_.on_heartbeat(saved.id, loop_.now());  // nobody has listened for a while
  // The Steerer looks at its queue anew, and tells only what has changed; so does a Node.js worker that has closed its servers.
  const auto* const of_node = dynamic_cast<const NodeInbox*>(inbox_of(occupant));
  fleet_.on_stalled(saved.id, of_node != nullptr && of_node->has_stopped_accepting());
  return Done{};
}

// Null: it has none.
Result<std::unique_ptr<ConnectionSink>> FleetRunner::adopt_inbox(const std::optional<SavedInbox>& saved,
                                                                 const std::optional<SavedNodeInbox>& of_node,
                                                                 FdTable& fds) {
  if (of_node && node_) return std::unique_ptr<ConnectionSink>(node_->adopt_inbox(*of_node, fds));
  if (!saved) return std::unique_ptr<ConnectionSink>();
  Result<std::unique_ptr<Inbox>> inbox = Inbox::adopt(loop_, *saved, fds, hooks_of_inbox());
  if (!inbox) return std::move(inbox).error();
  return std::unique_ptr<ConnectionSink>(*std::move(inbox));
}

void FleetRunner::watch_for_signs_again(Occupant& occupant, const SavedWorker& saved, FdTable& fds) {
  const WorkerId worker = saved.id;
  if (UniqueFd notify = fds.take_if_there(saved.notify)) {
    occupant.notify =
        NotifySocket::adopt(loop_, DatagramSocket{std::move(notify), saved.notify_address},
                            static_cast<uid_t>(saved.notify_user.value_or(::getuid())),
                            [this, worker](const NotifyMessage& message, pid_t) { on_notify(worker, message); });
  }
  if (UniqueFd notifications = fds.take_if_there(saved.capture)) {
    occupant.capture = make_capture(occupant, worker, std::move(notifications));
    occupant.capture->add_sockets(sockets_of(saved));
  }
  // Of a Node.js worker more is to be seen even when it is ready: which servers it has.
  if (saved.waits_for_grace || node_) give_grace(occupant, worker);
  if (!saved.takes_leave) return;
  occupant.farewell = std::make_unique<Timer>(loop_, [this, worker] { say_goodbye(worker); });
  if (!saved.took_leave) occupant.farewell->arm(loop_.now() + kHandshake);
}

// They live in the fleet's memory alone: nothing of them came along.
void FleetRunner::give_up_unknown_workers() {
  const auto give_up = [&](const Fleet::Worker& worker, std::size_t slot) {
    if (occupants_.contains(worker.id) || std::holds_alternative<Fleet::Gone>(worker.phase)) return;
    slots_[slot].last_exit = "was lost when another supervisor took over";
    spdlog::error("{}: a worker {}: it is replaced", label(SlotId{static_cast<std::uint32_t>(slot)}),
                  *slots_[slot].last_exit);
    fleet_.on_exited(worker.id, Fleet::WorkerEnd::Ended, loop_.now());
  };
  for (std::size_t i = 0; i < fleet_.slots().size(); i++) {
    const Fleet::Slot& slot = fleet_.slots()[i];
    if (slot.incumbent) give_up(*slot.incumbent, i);
    if (slot.successor) give_up(*slot.successor, i);
    for (const Fleet::Worker& worker : slot.departing) give_up(worker, i);
  }
}

void FleetRunner::save(SavedPool& saved, FdList& fds, SavedFor what) const {
  saved.found = settlement_.found();
  saved.has_capture = has_capture_;
  saved.has_steering = has_steering_;
  saved.checks = checks_;
  saved.retired_unwanted = retired_unwanted_;
  saved.fleet = fleet_.save();
  saved.last_generation = last_generation_;
  saved.handed_before = handed_before_;
  if (node_) saved.node = node_->save(what);
  if (node_door_) saved.at_session_door = node_door_->save(fds);
  for (const Slot& slot : slots_) {
    SavedSlot& written = saved.slots.emplace_back();
    if (const auto* inbox = dynamic_cast<const Inbox*>(slot.inbox.get())) written.inbox = inbox->save(fds);
    if (const auto* inbox = dynamic_cast<const NodeInbox*>(slot.inbox.get()))
      written.node_inbox = inbox->save(fds, what);
    written.starts = slot.starts;
    written.retired_handed = slot.retired_handed;
    written.retired_accepted = slot.retired_accepted;
    written.retired_lost = slot.retired_lost;
    written.protocol_errors = slot.protocol_errors;
    written.last_exit = slot.last_exit;
    written.last_lines = slot.last_lines;
  }
  for (const auto& [id, occupant] : occupants_) saved.workers.push_back(save(id, occupant, fds, what));
}

void FleetRunner::recount() {
  const auto recount = [this](ConnectionSink* sink) {
    if (auto* const of_node = dynamic_cast<NodeInbox*>(sink)) return of_node->recover();
    auto* const inbox = dynamic_cast<Inbox*>(sink);
    if (inbox == nullptr) return;
    dispatcher_.redispatch(without_checks(inbox->recount()));
    (void)inbox->flush();  // dropped, and so closed
  };
  for (Slot& slot : slots_) recount(slot.inbox.get());
  for (auto& [id, occupant] : occupants_) recount(occupant.own_inbox.get());
  recounted_ = true;
}

void FleetRunner::hear_again() {
  for (auto& [id, occupant] : occupants_) {
    const auto* const inbox = dynamic_cast<const Inbox*>(inbox_of(occupant));
    if (inbox == nullptr || !occupant.offer.channel || !inbox->has_spoken()) continue;
    occupant.spoke = occupant.beats = true;
    if (settlement_.on_hello()) on_settled();
    if (inbox->is_ready()) on_ready(id, "the supervisor before us has heard it");
  }
}

SavedWorker FleetRunner::save(WorkerId worker, const Occupant& occupant, FdList& fds, SavedFor what) const {
  SavedWorker saved;
  saved.id = worker;
  saved.slot = occupant.slot;
  saved.generation = occupant.generation;
  saved.pid = occupant.process->pid();
  saved.pidfd = fds.add_as(name_of("pidfd", pool_.name, worker), occupant.process->pidfd());
  saved.started = occupant.started;
  saved.listeners = occupant.listeners;
  saved.offer = occupant.offer;
  saved.turn = occupant.turn == Turn::First ? 0 : 1;
  saved.holds_sockets = occupant.holds_sockets;
  if (const auto* inbox = dynamic_cast<const Inbox*>(occupant.own_inbox.get())) saved.own_inbox = inbox->save(fds);
  if (const auto* inbox = dynamic_cast<const NodeInbox*>(occupant.own_inbox.get()))
    saved.own_node_inbox = inbox->save(fds, what);
  saved.output = occupant.process->output().save(fds);
  if (occupant.notify) {
    saved.notify = fds.add("notify", occupant.notify->descriptor());
    saved.notify_address = occupant.notify->address();
    saved.notify_user = occupant.notify->worker_user();
  }
  if (occupant.capture) {
    saved.capture = fds.add_as(name_of("capture", pool_.name, worker), occupant.capture->notifications());
    for (const auto& [cookie, listener] : occupant.capture->sockets()) {
      saved.captured[std::to_string(cookie)] = listener;
    }
  }
  const Fleet::Worker* const known = fleet_.find(worker);
  const bool starting = known != nullptr && std::holds_alternative<Fleet::Starting>(known->phase);
  saved.waits_for_grace = occupant.grace && starting;
  saved.takes_leave = occupant.farewell != nullptr;
  saved.took_leave = occupant.took_leave;
  saved.bound = occupant.bound;
  saved.spoke = occupant.spoke;
  saved.beats = occupant.beats;
  saved.other_binds = occupant.other_binds;
  saved.told_to_end = occupant.told_to_end;
  saved.served_before = occupant.served_before;
  if (occupant.bus) saved.bus = occupant.bus->number();
  return saved;
}

}  // namespace holdfast
