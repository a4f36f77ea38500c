// What goes on when we are killed, and how we go on with what another one has left.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "exit_code.h"
#include "master.h"
#include "sys/service_manager.h"

namespace holdfast {

Master::Master(KeptState kept, ConfigSource source) : Master(std::move(kept.takeover), std::move(source)) {
  kept_ = std::move(kept);
}

bool Master::keeps_workers() const { return config_.keep_state == KeepState::Systemd && has_service_manager(); }

void Master::begin_keeping() {
  if (config_.keep_state == KeepState::No) return;
  if (!has_service_manager()) {
    return spdlog::warn("keep-state systemd: no systemd has started us: if we are killed the workers leave");
  }
  std::optional<StateMemory> memory;
  KeptNames::Files files;
  if (std::optional<KeptState> kept = std::exchange(kept_, std::nullopt)) {
    memory.emplace(std::move(kept->memory));
    files = std::move(kept->names);
  }
  Result<std::unique_ptr<StateKeeper>> keeper = StateKeeper::create(
      loop_, [this](FdList& fds) { return snapshot(fds, SavedFor::SuddenEnd); }, std::move(memory), std::move(files));
  if (!keeper) return spdlog::error("{}: if we are killed the workers are lost", keeper.error().message());
  keeper_ = *std::move(keeper);
  keeper_->keep_now();
}

// What the program before us, in this process, has begun.
void Master::take_over_keeping() {
  const SavedState& state = takeover_->state;
  if (state.memory.size() != 2) return;
  Result<StateMemory> memory = StateMemory::adopt(
      {takeover_->fds.take_if_there(state.memory[0]), takeover_->fds.take_if_there(state.memory[1])});
  if (memory) kept_.emplace(KeptState{{}, *std::move(memory), state.kept, {}, {}});
}

// Of the pools of the configuration those that nothing was saved of. They begin as at any start.
std::optional<Failure> Master::add_pools_not_saved() {
  for (std::size_t i = 0; i < config_.pools.size(); i++) {
    const PoolConfig& config = config_.pools[i];
    if (pool_of(config.name) != nullptr) continue;
    const auto place = pools_.begin() + static_cast<std::ptrdiff_t>(std::min(i, pools_.size()));
    Pool& pool = **pools_.insert(place, make_pool(config));
    if (Outcome possible = pool.check_system(); !possible) return Failure{possible.error(), kExitFailure};
    for (ListenerConfig listener : config_.listeners) {
      listener.pool = pool_name_of(listener, config_);
      if (listener.pool != config.name) continue;
      if (auto failure = open_listener(listener)) return failure;
    }
  }
  return std::nullopt;
}

// The state is older than the end of who wrote it: by a moment, in which clients were accepted and workers started.
void Master::recover() {
  const SavedState& state = takeover_->state;
  spdlog::warn("the supervisor before us, pid {}, was killed: its workers go on", state.pid);
  for (const std::string& name : activation_.names_of_others(state.numbers)) {
    spdlog::warn("the socket systemd:{} is new since the start of the service: it is served after the next start",
                 name);
  }
  activation_ = {};
  end_leftovers();
  for (const std::unique_ptr<Pool>& pool : pools_) pool->recount();
  // Who was told to stop, and killed before it had, stops.
  for (const SavedPool& pool : state.pools) {
    if (pool.fleet.stop == Fleet::Stop::No) continue;
    loop_.defer([this, how = pool.fleet.stop] {
      if (!stopping_) stop(how);
    });
  }
}

void Master::end_leftovers() {
  if (!keeps_workers()) return;
  KnownWorkers known;
  Duration patience{};
  for (const PoolConfig& pool : config_.pools) patience = std::max(patience, pool.fleet.drain_timeout);
  if (takeover_) {
    for (const SavedPool& pool : takeover_->state.pools) {
      for (const SavedWorker& worker : pool.workers) {
        known.groups.insert(worker.pid);
        if (!worker.notify_address.empty()) known.notify_addresses.insert(worker.notify_address);
      }
    }
  }
  leftovers_ = Leftovers::end(loop_, known, patience);
}

}  // namespace holdfast
