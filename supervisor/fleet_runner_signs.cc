#include "fleet_runner.h"

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "config/values.h"
#include "core/stall.h"
#include "sys/own_listeners.h"
#include "sys/worker_sockets.h"
#include "worker_texts.h"

namespace holdfast {

namespace {

constexpr std::size_t kBindsTold = 8;
// Under --intake auto one that shows no sign of anything is given so many times --start-grace before it is taken for one
// that serves the inherited sockets.
constexpr int kSilentGraces = 10;
constexpr Duration kShortestLook = std::chrono::milliseconds(100);

}  // namespace

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

void FleetRunner::on_captured(WorkerId worker, std::size_t listener, pid_t thread) {
  if (settlement_.on_capture()) on_settled();
  Occupant& occupant = occupants_.at(worker);
  occupant.bound = true;
  if (steerer_.is_datagram(listener)) return on_serving(worker, thread, "it serves " + steerer_.name_of(listener));
  // Some look whether the socket listens already, as ours does, and then never call listen.
  give_grace(occupant, worker);
}

// It has shown that it takes clients. Where these send datagrams they come to it only when its sockets are prepared.
void FleetRunner::on_serving(WorkerId worker, pid_t thread, const std::string& how) {
  const Fleet::Worker* const known = fleet_.find(worker);
  const bool starts = known != nullptr && std::holds_alternative<Fleet::Starting>(known->phase);
  if (!starts || !steerer_.has_datagrams()) return on_ready(worker, how);
  Occupant& occupant = occupants_.at(worker);
  const TimePoint deadline = loop_.now() + std::min(pool_.start_grace, pool_.fleet.start_timeout / 2);
  occupant.set_up =
      std::make_unique<SetUpWatch>(loop_, thread, deadline, [this, worker, how] { on_ready(worker, how); });
  give_grace(occupant, worker);  // for the next program, if this one becomes another meanwhile
  keep_first_ = true;
  schedule();
}

void FleetRunner::on_grace_over(WorkerId worker) {
  Occupant& occupant = occupants_.at(worker);
  if (occupant.bound) return on_ready(worker, "it has bound an address of ours, and lived through --start-grace");
  const std::optional<Intake> intake = settlement_.intake();
  const bool waits = !intake && waits_at_its_sockets(occupant);
  // One that binds elsewhere, and does not show that it uses what it has inherited, has not taken it yet.
  if (!occupant.other_binds.empty() && !waits && (!intake || intake == Intake::Capture)) {
    if (!std::exchange(occupant.told_elsewhere, true)) {
      spdlog::warn("{}: so far {}", label(occupant.slot), missing_sign(occupant));
    }
    if (!intake) occupant.grace->arm(loop_.now() + std::max(pool_.start_grace, kShortestLook));
    return;
  }
  if (intake == Intake::Capture || intake == Intake::Sdk) return;
  // Nor has one that is still to bind: a large program needs its time until then.
  const Duration silence = std::min(kSilentGraces * pool_.start_grace, pool_.fleet.start_timeout / 2);
  if (!intake && !waits && loop_.now() < occupant.started + silence) {
    return occupant.grace->arm(std::min(loop_.now() + pool_.start_grace, occupant.started + silence));
  }
  if (settlement_.on_ready_without_sign()) on_settled();
  if (pool_.intake == Intake::ListenFds && occupant.slot.value == 0) {
    look_where_it_listens(occupant);
    if (!occupant.other_binds.empty()) {
      spdlog::warn(
          "{}: it listens on {} by itself: if clients are to come there, it does not take inherited sockets "
          "(--intake capture)",
          label(occupant.slot), fmt::join(occupant.other_binds, ", "));
    }
  }
  on_ready(worker, waits ? "it waits at the sockets that it has inherited" : "it has lived through --start-grace");
}

// Whether somebody of the worker uses the sockets that it has inherited: has made them non-blocking (we gave them
// blocking), or waits in accept(2), if that can be at no other socket.
bool FleetRunner::waits_at_its_sockets(const Occupant& occupant) {
  const std::vector<Steerer::GivenSocket> sockets = steerer_.sockets(occupant.slot, occupant.turn);
  const auto is_used = [](const Steerer::GivenSocket& socket) { return is_nonblocking(socket.fd); };
  if (std::any_of(sockets.begin(), sockets.end(), is_used)) return true;
  return occupant.other_binds.empty() && waits_in_accept(occupant.process->pid());
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
  if (node_) {
    node_->on_ready(worker);
    occupant.grace->arm(loop_.now() + pool_.start_grace);
  }
  keep_first_ = true;
  fleet_.on_ready(worker, loop_.now());
  settle_upkeep(worker, occupants_.at(worker));
  schedule();
}

void FleetRunner::on_other_bind(WorkerId worker, const std::string& address) {
  if (address.starts_with("unix:") || address.starts_with("udp:")) return;
  Occupant& occupant = occupants_.at(worker);
  if (occupant.other_binds.size() >= kBindsTold) return;
  occupant.other_binds.push_back(address);
  if (settlement_.intake() == Intake::Capture && !occupant.grace) give_grace(occupant, worker);
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
  const bool passing = intake == Intake::Sdk || intake == Intake::Node;
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

// Where capture was not offered nobody has told us.
void FleetRunner::look_where_it_listens(Occupant& occupant) const {
  if (!occupant.other_binds.empty() || !occupant.process) return;
  const std::vector<std::uint16_t> ours = steerer_.ports();
  for (const TcpAddress& address : own_listeners(occupant.process->pid())) {
    if (std::count(ours.begin(), ours.end(), address.port) > 0 || occupant.other_binds.size() >= kBindsTold) continue;
    occupant.other_binds.push_back(to_text(ListenAddress{address}));
  }
}

// "; they listen on 127.0.0.1:9090", if any does.
std::string FleetRunner::listening_elsewhere() const {
  for (const auto& [id, occupant] : occupants_) {
    if (!occupant.other_binds.empty()) return fmt::format("; they listen on {}", fmt::join(occupant.other_binds, ", "));
  }
  return "";
}

// Why a worker that was not ready in time may not have been.
std::string FleetRunner::missing_sign(const Occupant& occupant) const {
  if (node_) return missing_node_sign(occupant);
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

void FleetRunner::on_garbage(const ConnectionSink& inbox, const Error& error) {
  const std::optional<WorkerId> worker = worker_on(inbox);
  if (!worker) return;
  const Occupant& occupant = occupants_.at(*worker);
  spdlog::error("{}: pid {} broke the channel protocol ({}): it will be killed and replaced", label(occupant.slot),
                occupant.process->pid(), error.message());
  slots_[occupant.slot.value].protocol_errors++;
  fleet_.on_misbehaved(*worker);
  schedule();
}

}  // namespace holdfast
