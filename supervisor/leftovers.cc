#include "leftovers.h"

#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <csignal>
#include <utility>

#include "sys/control_group.h"
#include "sys/kept_descriptors.h"
#include "sys/spawn.h"

namespace holdfast {

std::unique_ptr<Leftovers> Leftovers::end(Loop& loop, const KnownWorkers& known, Duration patience) {
  const std::vector<std::int64_t> found = left_over(others_in_own_group(), known);
  if (found.empty()) return nullptr;
  spdlog::warn(
      "workers of a supervisor before us are left, and nothing was kept of them: they are told to end: pid {} (if "
      "there "
      "are many of these, is FileDescriptorStoreMax= of the unit large enough?)",
      fmt::join(found, ", "));
  std::vector<UniqueFd> processes;
  for (const std::int64_t pid : found) {
    UniqueFd process = hold_process(static_cast<pid_t>(pid));
    if (!process) continue;  // it has ended
    signal_process(process, SIGTERM);
    processes.push_back(std::move(process));
  }
  return std::unique_ptr<Leftovers>(new Leftovers(loop, std::move(processes), patience));
}

Leftovers::Leftovers(Loop& loop, std::vector<UniqueFd> processes, Duration patience)
    : processes_(std::move(processes)), patience_(loop, [this] { kill(); }) {
  patience_.arm(loop.now() + patience);
}

void Leftovers::kill() const {
  for (const UniqueFd& process : processes_) signal_process(process, SIGKILL);
}

}  // namespace holdfast
