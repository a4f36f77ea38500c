#include <spdlog/spdlog.h>

#include <csignal>
#include <utility>

#include "fleet_runner.h"
#include "worker_texts.h"

namespace holdfast {

void FleetRunner::perform(const Fleet::CleanUpSlot& action) {
  const Outcome started = start_clean_up(action.slot);
  if (started) return;
  spdlog::error("{}: cannot start the clean-up: {}", label(action.slot), started.error().message());
  slots_[action.slot.value].last_exit = "its clean-up was not started: " + started.error().message();
  const std::string why =
      fmt::format("the clean-up of slot {} was not started: {}", action.slot.value, started.error().message());
  fail_renewal(action.slot, why);
  fleet_.on_cleaned_up(action.slot, false);
  schedule();
}

Outcome FleetRunner::start_clean_up(SlotId slot) {
  SpawnPlan plan = plan_clean_up(pool_, slot, slots());
  if (!pool_.user.empty() || !pool_.group.empty()) {
    const Result<Credentials> credentials = credentials_of(pool_.user, pool_.group);
    if (!credentials) return credentials.error();
    plan.credentials = *credentials;
  }
  WorkerProcess::Hooks hooks;
  hooks.on_line = hooks_.on_line;
  hooks.on_exit = [this, slot](const ExitStatus& status) { on_cleaned_up(slot, status); };
  const auto released = reserve_.release();
  Result<std::unique_ptr<WorkerProcess>> process =
      WorkerProcess::start(loop_, std::move(plan), pool_.name, slot, std::move(hooks));
  if (!process) return std::move(process).error();
  CleanUp& running = clean_ups_[slot];
  running.process = *std::move(process);
  running.limit = std::make_unique<Timer>(loop_, [this, slot] {
    spdlog::error("{}: its clean-up takes too long: SIGKILL", label(slot));
    clean_ups_.at(slot).process->signal(SIGKILL);
  });
  running.limit->arm(loop_.now() + pool_.clean_up_timeout);
  spdlog::info("{}: clean-up, pid {}", label(slot), running.process->pid());
  return Done{};
}

void FleetRunner::on_cleaned_up(SlotId slot, const ExitStatus& status) {
  // We are inside a callback of the process's own watcher.
  const auto ended = std::make_shared<CleanUp>(std::move(clean_ups_.at(slot)));
  clean_ups_.erase(slot);
  loop_.defer([ended] {});
  const bool done = status == ExitStatus{};
  if (!done && slot.value < slots_.size()) {
    const std::string wrote = quote(ended->process->last_lines());
    spdlog::error("{}: its clean-up {}{}", label(slot), to_text(status), wrote);
    slots_[slot.value].last_exit = "its clean-up " + to_text(status);
    slots_[slot.value].last_lines = ended->process->last_lines();
    const std::string why = fmt::format("the clean-up of slot {} {}{}", slot.value, to_text(status), wrote);
    fail_renewal(slot, why);
  }
  fleet_.on_cleaned_up(slot, done);
  schedule();
}

}  // namespace holdfast
