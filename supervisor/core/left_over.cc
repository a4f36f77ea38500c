#include "core/left_over.h"

#include <map>

namespace holdfast {

std::vector<std::int64_t> left_over(std::span<const ProcessFacts> processes, const KnownWorkers& known) {
  std::map<std::int64_t, const ProcessFacts*> by_pid;
  for (const ProcessFacts& process : processes) by_pid.emplace(process.pid, &process);
  const auto is_known = [&](const ProcessFacts& process) {
    if (known.notify_addresses.contains(process.notify_address)) return true;
    const ProcessFacts* ancestor = &process;
    // What we saw of them is not of one moment, so it may go in a circle.
    for (std::size_t steps = 0; steps <= processes.size(); steps++) {
      if (known.groups.contains(ancestor->group)) return true;
      const auto parent = by_pid.find(ancestor->parent);
      if (parent == by_pid.end()) return false;
      ancestor = parent->second;
    }
    return false;
  };
  std::vector<std::int64_t> found;
  for (const ProcessFacts& process : processes) {
    if (process.of_a_worker && !is_known(process)) found.push_back(process.pid);
  }
  return found;
}

}  // namespace holdfast
