#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>
#include <iterator>
#include <utility>

#include "fleet_runner.h"
#include "sys/environment.h"
#include "sys/resident_memory.h"
#include "worker_texts.h"

// What becomes of workers that serve: health checks, and recycling of those that have done enough.

namespace holdfast {

namespace {

constexpr Duration kSampleInterval = std::chrono::seconds(2);
constexpr Duration kComplaintInterval = std::chrono::minutes(1);

// In [0, 1), another one for each worker.
double position_of(WorkerId worker) { return static_cast<double>((worker.value * 2654435761U) >> 8) / 0x1p24; }

}  // namespace

bool FleetRunner::is_passed_connections() const {
  return settlement_.intake() == Intake::Sdk || settlement_.intake() == Intake::Node;
}

bool FleetRunner::wants_checks() const {
  if (!pool_.health.command.empty()) return true;
  return !pool_.health.http.empty() && is_passed_connections();
}

// After each change of the configuration, and when it is known what the workers are.
void FleetRunner::settle_upkeep() {
  if (!pool_.health.http.empty() && settlement_.intake() && !is_passed_connections()) {
    spdlog::error(
        "pool {}: health-http checks workers that are passed connections, and these are not: use health-command",
        pool_.name);
  }
  resume_checks();
}

void FleetRunner::resume_checks() {
  for (auto& [id, occupant] : occupants_) settle_upkeep(id, occupant);
}

void FleetRunner::pause_checks() {
  for (auto& [id, occupant] : occupants_) occupant.health.reset();
}

void FleetRunner::settle_upkeep(WorkerId worker, Occupant& occupant) {
  const Fleet::Worker* const known = fleet_.find(worker);
  if (known == nullptr || !std::holds_alternative<Fleet::Serving>(known->phase)) return;
  if (!wants_checks()) {
    occupant.health.reset();
    fleet_.on_health(worker, true);
  } else if (occupant.health) {
    occupant.health->on_policy_changed();
  } else {
    fleet_.on_health(worker, true);  // what somebody else has found before is found anew
    occupant.health = std::make_unique<HealthWatch>(loop_, pool_, occupant.slot, worker, hooks_of_watch(worker));
  }
  if (!pool_.recycle.wants_anything()) {
    occupant.recycle.reset();
  } else if (!occupant.recycle) {
    occupant.recycle.emplace(occupant.slot, slots(), position_of(worker), known->ready_at.value_or(loop_.now()));
    if (!std::exchange(is_sampling_, true)) sampling_.arm(loop_.now() + kSampleInterval);
  }
}

HealthWatch::Hooks FleetRunner::hooks_of_watch(WorkerId worker) {
  HealthWatch::Hooks hooks;
  hooks.give = [this, worker](Connection connection) {
    ConnectionSink* const inbox = inbox_of(occupants_.at(worker));
    if (inbox == nullptr) return;
    checks_++;
    connection.record.listener = listener_for_check(occupants_.at(worker));
    inbox->put(std::move(connection));
    (void)inbox->flush();
  };
  hooks.account = [this, worker] {
    const ConnectionSink* const inbox = inbox_of(occupants_.at(worker));
    return inbox != nullptr ? inbox->account() : ConnectionSink::Account{};
  };
  hooks.plan_command = [this, worker] { return plan_check(occupants_.at(worker)); };
  hooks.on_verdict = [this, worker](Health::State state, const std::string& why) { on_verdict(worker, state, why); };
  hooks.on_cannot_check = [this, worker](const std::string& what) {
    if (loop_.now() < next_check_complaint_) return;
    next_check_complaint_ = loop_.now() + kComplaintInterval;
    spdlog::error("{}: cannot check the health of pid {}: {}", label(occupants_.at(worker).slot),
                  occupants_.at(worker).process->pid(), what);
  };
  hooks.bury = [this](std::unique_ptr<CommandCheck> check) { bury(std::move(check)); };
  return hooks;
}

// A worker knows a connection by its listener: any that it knows, and that has connections. A Node.js worker knows those of its
// servers.
std::uint16_t FleetRunner::listener_for_check(const Occupant& occupant) const {
  const auto* const of_node = dynamic_cast<const NodeInbox*>(inbox_of(occupant));
  for (const ListenerId id : occupant.listeners) {
    if (of_node != nullptr && !of_node->serves(id)) continue;
    const bool datagrams = std::holds_alternative<UdpAddress>(dispatcher_.listeners()[id.value]->address());
    if (!datagrams) return static_cast<std::uint16_t>(id.value);
  }
  return 0;
}

// It finds what the worker finds, but no descriptor of the worker's.
Result<SpawnPlan> FleetRunner::plan_check(const Occupant& occupant) const {
  const ConnectionSink* const inbox = inbox_of(occupant);
  if (inbox == nullptr) return Error{{}, "its channel is shut"};
  Launch launch{occupant.slot, slots(), occupant.generation, {}, *inbox, dispatcher_.listeners(), {}, {}, {}};
  if (!pool_.user.empty() || !pool_.group.empty()) {
    const Result<Credentials> credentials = credentials_of(pool_.user, pool_.group);
    if (!credentials) return credentials.error();
    launch.credentials = *credentials;
  }
  SpawnPlan plan = plan_launch(pool_, launch);
  plan.command = pool_.health.command;
  plan.cpus.clear();
  plan.death_signal = SIGKILL;
  plan.environment.emplace_back("HOLDFAST_PID", std::to_string(occupant.process->pid()));
  return plan;
}

void FleetRunner::on_verdict(WorkerId worker, Health::State state, const std::string& why) {
  const Occupant& occupant = occupants_.at(worker);
  const Fleet::Worker* const known = fleet_.find(worker);
  if (known == nullptr) return;
  const bool healthy = state == Health::State::Healthy;
  if (known->unhealthy == healthy) {
    spdlog::log(healthy ? spdlog::level::info : spdlog::level::warn, "{}: pid {} is {}: {}", label(occupant.slot),
                occupant.process->pid(), healthy ? "healthy again" : "unhealthy", why);
  }
  fleet_.on_health(worker, healthy);
  // Said again as long as it is so: a successor that failed is tried anew.
  const std::optional<Fleet::Worker>& incumbent = fleet_.slots()[occupant.slot.value].incumbent;
  const bool replace = !healthy && pool_.health.action == HealthAction::Restart && incumbent && incumbent->id == worker;
  if (replace && fleet_.stop() == Fleet::Stop::No) {
    spdlog::warn("{}: pid {} is replaced: it fails its health checks", label(occupant.slot), occupant.process->pid());
    fleet_.request_renewal(occupant.slot);
  }
  schedule();
}

void FleetRunner::bury(std::unique_ptr<CommandCheck> check) {
  CommandCheck* const killed = check.get();
  buried_.emplace(killed, std::move(check));
  killed->give_up([this, killed] {
    // We are inside its callback.
    loop_.defer([gone = std::shared_ptr<CommandCheck>(std::move(buried_.at(killed)))] {});
    buried_.erase(killed);
  });
}

// What is read back from an inbox, without the connections of checks.
std::vector<Connection> FleetRunner::take_back_some(ConnectionSink& inbox) {
  std::vector<Connection> some;
  for (bool only_checks = true; only_checks;) {
    some = inbox.take_back_some();
    if (some.empty()) break;
    some = without_checks(std::move(some));
    only_checks = some.empty();
  }
  return some;
}

// The connections of checks are closed, and count no more.
std::vector<Connection> FleetRunner::without_checks(std::vector<Connection> connections) {
  const auto checks = std::stable_partition(connections.begin(), connections.end(),
                                            [](const Connection& c) { return !is_of_check(c.record); });
  for (auto check = checks; check != connections.end(); ++check) {
    checks_ -= std::min<std::uint64_t>(checks_, 1);  // a state that is older than the check did not count it
    const auto occupant = occupants_.find(checked_worker(check->record));
    if (occupant != occupants_.end() && occupant->second.health) occupant->second.health->on_taken_back();
  }
  connections.erase(checks, connections.end());
  return connections;
}

void FleetRunner::sample_work() {
  is_sampling_ = pool_.recycle.wants_anything() && fleet_.stop() == Fleet::Stop::No;
  if (!is_sampling_) return;
  sampling_.arm(loop_.now() + kSampleInterval);
  std::map<pid_t, std::uint64_t> resident;
  if (pool_.recycle.memory.bytes > 0) resident = resident_by_group();
  for (auto& [id, occupant] : occupants_) {
    if (!occupant.recycle) continue;
    Recycle::Sample sample;
    if (const ConnectionSink* inbox = inbox_of(occupant)) {
      const ConnectionSink::Account account = inbox->account();
      sample.connections = account.taken + account.accepted - occupant.served_before;
    }
    const auto group = resident.find(occupant.process->pid());
    if (group != resident.end()) sample.resident = group->second;
    occupant.recycle->on_sample(pool_.recycle, sample, loop_.now());
    if (const auto why = occupant.recycle->due(pool_.recycle, loop_.now())) recycle(id, occupant, *why);
  }
}

void FleetRunner::recycle(WorkerId worker, Occupant& occupant, Recycle::Why why) {
  const std::optional<Fleet::Worker>& incumbent = fleet_.slots()[occupant.slot.value].incumbent;
  if (!incumbent || incumbent->id != worker || incumbent->outdated) return;
  spdlog::info("{}: pid {} is replaced for {}", label(occupant.slot), occupant.process->pid(), reason_text(why));
  occupant.recycle->on_asked(loop_.now());
  fleet_.request_renewal(occupant.slot);
  schedule();
}

}  // namespace holdfast
