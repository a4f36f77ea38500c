#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "fleet_runner.h"
#include "sys/own_listeners.h"
#include "sys/worker_sockets.h"

namespace holdfast {

namespace {

// A worker that leaves has mostly ended by then. One that does not gets a successor beside it.
constexpr Duration kLeaveTime = std::chrono::milliseconds(500);
constexpr Duration kShortestLook = std::chrono::milliseconds(100);
constexpr Duration kComplaintInterval = std::chrono::seconds(10);

}  // namespace

std::unique_ptr<NodeWorkers> FleetRunner::make_node_workers() {
  NodeWorkers::Hooks hooks;
  hooks.listeners = [this] { return offered_listeners(); };
  hooks.label = [this](WorkerId worker) {
    const auto occupant = occupants_.find(worker);
    return occupant == occupants_.end() ? pool_.name : label(occupant->second.slot);
  };
  hooks.on_ready = [this](WorkerId worker) { on_ready(worker, {}); };
  hooks.on_accepting = [this](WorkerId worker, bool accepts) { on_node_accepting(worker, accepts); };
  hooks.on_leaves = [this](WorkerId worker, const std::string& why) { on_node_leaves(worker, why); };
  hooks.on_came_back = [this](WorkerId worker) { on_node_came_back(worker); };
  hooks.on_garbage = [this](const NodeInbox& inbox, const Error& error) { on_garbage(inbox, error); };
  hooks.on_room = [this] { dispatcher_.on_room(); };
  hooks.on_session = [this](const std::string& session) {
    if (node_door_) node_door_->on_session(session);
  };
  hooks.on_strays = [this] { look_for_strays(); };
  hooks.before_acting = hooks_.before_acting;
  return std::make_unique<NodeWorkers>(loop_, pool_, std::move(hooks));
}

std::vector<NodeServers::Offered> FleetRunner::offered_listeners() const {
  std::vector<NodeServers::Offered> offered;
  for (const std::unique_ptr<Listener>& listener : dispatcher_.listeners()) {
    const bool leaves = !listener->stays() || std::count(leaving_.begin(), leaving_.end(), listener->id()) > 0;
    using Fate = NodeServers::Offered::Fate;
    offered.push_back({listener->address(), listener->name(), leaves ? Fate::Leaves : Fate::Stays});
  }
  return offered;
}

void FleetRunner::open_node_door() {
  NodeSessionDoor::Hooks hooks;
  hooks.slot_of = [this](const std::string& session) -> std::optional<SlotId> {
    const std::optional<WorkerId> worker = node_->worker_with(session);
    if (!worker || !occupants_.contains(*worker)) return std::nullopt;
    return occupants_.at(*worker).slot;
  };
  hooks.on_placed = [this](Connection connection, std::optional<SlotId> slot) {
    dispatcher_.admit(std::move(connection), slot);
  };
  hooks.on_overflow = [this] {
    if (loop_.now() < next_overflow_complaint_) return;
    next_overflow_complaint_ = loop_.now() + kComplaintInterval;
    spdlog::warn(
        "pool {}: more than {} connections have not said yet which session they ask for: those that came first are "
        "placed "
        "by their addresses",
        pool_.name, NodeSessionDoor::kMostWaiting);
  };
  node_door_ = std::make_unique<NodeSessionDoor>(loop_, std::move(hooks));
  dispatcher_.set_session_door([this](Connection& connection) {
    node_door_->take(std::move(connection));
    return true;
  });
}

// Not now: we are inside a call of an inbox, or of the dispatcher.
void FleetRunner::look_for_strays() {
  if (std::exchange(looking_for_strays_, true)) return;
  loop_.defer([this] {
    looking_for_strays_ = false;
    for (const Slot& slot : slots_) {
      auto* const inbox = static_cast<NodeInbox*>(slot.inbox.get());
      if (inbox != nullptr) dispatcher_.turn_away(without_checks(node_->take_strays(*inbox)), Refusal::NoServer);
    }
  });
}

void FleetRunner::on_node_accepting(WorkerId worker, bool accepts) {
  spdlog::info("{}: pid {} has {}", label(occupants_.at(worker).slot), occupants_.at(worker).process->pid(),
               accepts ? "opened a server again" : "closed its servers: its clients go elsewhere until it opens one");
  fleet_.on_stalled(worker, !accepts);
  schedule();
}

// Its end closes the channel too, and is known in a moment.
void FleetRunner::on_node_leaves(WorkerId worker, const std::string& why) {
  Occupant& occupant = occupants_.at(worker);
  if (fleet_.stop() != Fleet::Stop::No) return;
  occupant.leaving = std::make_unique<Timer>(loop_, [this, worker, why] {
    const Occupant& leaving = occupants_.at(worker);
    const std::optional<Fleet::Worker>& incumbent = fleet_.slots()[leaving.slot.value].incumbent;
    if (!incumbent || incumbent->id != worker || fleet_.stop() != Fleet::Stop::No) return;
    spdlog::warn("{}: pid {} takes no more connections, it is replaced: {}", label(leaving.slot),
                 leaving.process->pid(), why);
    fleet_.on_stalled(worker, true);
    renew(leaving.slot, [](const Outcome&) {});  // the log tells what becomes of it
  });
  occupant.leaving->arm(loop_.now() + kLeaveTime);
}

void FleetRunner::on_node_came_back(WorkerId worker) {
  // We are inside a call of the inbox.
  loop_.defer([this, worker] {
    const auto occupant = occupants_.find(worker);
    if (occupant == occupants_.end()) return;
    // Once: where its slot has no other inbox they come back into this one, and wait there for the next worker.
    if (ConnectionSink* inbox = inbox_of(occupant->second)) dispatcher_.redispatch(take_back_some(*inbox));
  });
}

// Again and again until it is ready, and once more a while after that.
void FleetRunner::on_node_grace_over(WorkerId worker) {
  Occupant& occupant = occupants_.at(worker);
  const auto is_ready = [&] {
    const Fleet::Worker* const known = fleet_.find(worker);
    return known != nullptr && !std::holds_alternative<Fleet::Starting>(known->phase);
  };
  // Who is still starting may listen yet. On a machine that has no time for it no grace is long enough.
  const bool still_starts = !is_ready() && occupant.process && is_at_work(occupant.process->pid());
  // A program that does not listen may never have heard of 'ready'.
  const bool needs_no_server = !still_starts && node_->on_grace_over(worker);
  if (needs_no_server && pool_.node.ready == NodeConfig::Ready::Listening)
    on_ready(worker, "it has lived through --start-grace");
  const bool ready = is_ready();
  if (ready) node_->on_told(worker);
  if (!ready) occupant.grace->arm(loop_.now() + std::max(pool_.start_grace, kShortestLook));
  const std::string passed_by = what_passes_us_by(occupant);
  if (passed_by.empty()) return;
  if (!ready && !std::exchange(occupant.told_elsewhere, true)) {
    spdlog::warn("{}: pid {} is not ready so far, and {}", label(occupant.slot), occupant.process->pid(), passed_by);
  } else if (ready && occupant.slot.value == 0) {  // the workers run the same program
    spdlog::info("{}: pid {} serves; besides, {}: who comes there is placed by nobody", label(occupant.slot),
                 occupant.process->pid(), passed_by);
  }
}

// Of a worker that has sockets of its own, where it ought to have asked for them; else empty.
std::string FleetRunner::what_passes_us_by(const Occupant& occupant) {
  if (!occupant.process) return "";
  std::vector<std::string> own;
  for (const TcpAddress& address : own_listeners(occupant.process->pid())) own.push_back(to_text(address));
  if (own.empty()) return "";
  return fmt::format(
      "it listens by itself on {}, which passes Holdfast by ({{exclusive: true}} or {{reusePort: true}})",
      fmt::join(own, ", "));
}

std::string FleetRunner::missing_node_sign(const Occupant& occupant) const {
  std::string passed_by = what_passes_us_by(occupant);
  return passed_by.empty() ? static_cast<const NodeInbox&>(*inbox_of(occupant)).why_not_ready() : passed_by;
}

}  // namespace holdfast
