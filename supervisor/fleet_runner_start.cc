#include "fleet_runner.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <utility>

namespace holdfast {

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
  if (node_) node_->on_gone(action.worker);
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
    Result<std::unique_ptr<ConnectionSink>> inbox = make_inbox();
    if (!inbox) return std::move(inbox).error();
    (successor ? occupant.own_inbox : slot.inbox) = *std::move(inbox);
    if (!successor) dispatcher_.set_inbox(occupant.slot, slot.inbox.get());
  }
  ConnectionSink& inbox = *(occupant.own_inbox ? occupant.own_inbox : slot.inbox);
  inbox.settle();
  const ConnectionSink::Account before = inbox.account();
  occupant.served_before = before.taken + before.accepted;
  (void)inbox.flush();  // dropped, and so closed
  const bool as_we = pool_.user.empty() && pool_.group.empty();
  const Result<Credentials> credentials =
      as_we ? Credentials{getuid(), 0, {}} : credentials_of(pool_.user, pool_.group);
  if (!credentials) return credentials.error();
  Result<std::unique_ptr<NotifySocket>> notify = make_notify_socket(worker, credentials->user);
  if (!notify) return std::move(notify).error();
  occupant.notify = *std::move(notify);
  occupant.offer = settlement_.offer();
  if (!has_capture_) occupant.offer.capture = false;
  if (steerer_.empty()) occupant.offer.listen_fds = occupant.offer.capture = occupant.offer.sockets = false;
  occupant.turn = successor ? other(steerer_.turn(occupant.slot)) : steerer_.turn(occupant.slot);

  Launch launch{occupant.slot, slots(), occupant.generation, occupant.offer, inbox, dispatcher_.listeners(), {}, {}, {},
                worker};
  launch.survives_us = hooks_.workers_survive_us;
  launch.notify_address = occupant.notify->address();
  if (occupant.offer.listen_fds || occupant.offer.channel)
    launch.sockets = steerer_.sockets(occupant.slot, occupant.turn);
  occupant.holds_sockets = !launch.sockets.empty();
  if (Outcome joined = join_bus(occupant); !joined) return joined;
  if (occupant.bus) launch.bus = occupant.bus->worker_end();
  if (!as_we) launch.credentials = *credentials;
  if (Outcome set = set_socket_modes(launch); !set) return set;
  UniqueFd node_channel;
  if (occupant.offer.node) {
    Result<UniqueFd> end = node_->begin(worker, static_cast<NodeInbox&>(inbox));
    if (!end) return std::move(end).error();
    node_channel = *std::move(end);
    launch.node_channel = node_channel;
    occupant.spoke = occupant.beats = true;  // its answers are its heartbeat
  }
  Result<std::unique_ptr<WorkerProcess>> process =
      WorkerProcess::start(loop_, plan_launch(pool_, launch), pool_.name, occupant.slot, hooks_of_process(worker));
  if (!process) return std::move(process).error();
  occupant.process = *std::move(process);
  if (occupant.bus) occupant.bus->close_worker_end();
  for (const std::unique_ptr<Listener>& listener : dispatcher_.listeners()) {
    if (listener->stays()) occupant.listeners.push_back(listener->id());
  }
  steerer_.occupy(occupant.slot, occupant.turn);
  watch_for_signs(occupant, worker);
  return Done{};
}

void FleetRunner::watch_for_signs(Occupant& occupant, WorkerId worker) {
  if (occupant.offer.capture) occupant.capture = make_capture(occupant, worker, occupant.process->take_capture());
  const std::optional<Intake> intake = settlement_.intake();
  const bool may_tell_nothing = !intake || intake == Intake::ListenFds || intake == Intake::None;
  if (!may_tell_nothing && !node_) return;
  give_grace(occupant, worker);
}

void FleetRunner::give_grace(Occupant& occupant, WorkerId worker) {
  if (!occupant.grace) {
    occupant.grace =
        std::make_unique<Timer>(loop_, [this, worker] { node_ ? on_node_grace_over(worker) : on_grace_over(worker); });
  }
  occupant.grace->arm(loop_.now() + pool_.start_grace);
}

std::unique_ptr<Capture> FleetRunner::make_capture(Occupant& occupant, WorkerId worker, UniqueFd notifications) {
  if (!notifications) return nullptr;  // it was killed before it could exec
  // The worker may have left its turn to another (Promote): what counts is where it is when it binds.
  const auto resolve = [this, worker](std::size_t listener, SocketDomain domain) -> Result<BorrowedFd> {
    Occupant& binding = occupants_.at(worker);
    binding.holds_sockets = true;
    return steerer_.socket_for(listener, domain, binding.slot, binding.turn);
  };
  Capture::Hooks hooks;
  hooks.on_captured = [this, worker](std::size_t listener, pid_t thread) { on_captured(worker, listener, thread); };
  hooks.on_listen = [this, worker](std::size_t listener, pid_t thread) {
    // Had it bound the socket, that would have settled it: so the socket is inherited.
    if (settlement_.on_ready_without_sign()) on_settled();
    on_serving(worker, thread, "it listens on " + steerer_.name_of(listener));
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
    for (const Steerer::GivenSocket& socket : sockets) {
      const std::size_t managed = *steerer_.managed_index(socket.listener);
      if (const Outcome known = capture->add_socket(managed, socket.fd); !known) {
        spdlog::warn("{}: {}", label(occupant.slot), known.error().message());
      }
    }
  }
  return capture;
}

Result<std::unique_ptr<NotifySocket>> FleetRunner::make_notify_socket(WorkerId worker, uid_t user) {
  return NotifySocket::create(loop_, user,
                              [this, worker](const NotifyMessage& message, pid_t) { on_notify(worker, message); });
}

WorkerProcess::Hooks FleetRunner::hooks_of_process(WorkerId worker) {
  WorkerProcess::Hooks hooks;
  hooks.on_line = hooks_.on_line;
  hooks.on_exit = [this, worker](const ExitStatus& status) { on_exit(worker, status); };
  return hooks;
}

Result<std::unique_ptr<ConnectionSink>> FleetRunner::make_inbox() {
  if (node_) return std::unique_ptr<ConnectionSink>(node_->make_inbox());
  Result<std::unique_ptr<Inbox>> inbox = Inbox::create(loop_, hooks_of_inbox());
  if (!inbox) return std::move(inbox).error();
  return std::unique_ptr<ConnectionSink>(*std::move(inbox));
}

Inbox::Hooks FleetRunner::hooks_of_inbox() {
  Inbox::Hooks hooks;
  hooks.on_frame = [this](Inbox& inbox, const WorkerFrame& frame) { on_frame(inbox, frame); };
  hooks.on_garbage = [this](Inbox& inbox, const Error& error) { on_garbage(inbox, error); };
  hooks.on_room = [this] { dispatcher_.on_room(); };
  return hooks;
}

}  // namespace holdfast
