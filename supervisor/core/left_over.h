#pragma once

#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <vector>

namespace holdfast {

// A process beside us, as far as it matters whose it is. Processes are told by their numbers.
struct ProcessFacts {
  std::int64_t pid = 0;
  std::int64_t parent = 0;
  std::int64_t group = 0;
  bool of_a_worker = false;    // a supervisor has started it, or one of those that it descends from, as a worker
  std::string notify_address;  // the NOTIFY_SOCKET that it was given; empty: none
};

// The workers that we know: the groups that they lead, and where they say how they are.
struct KnownWorkers {
  std::set<std::int64_t> groups;
  std::set<std::string> notify_addresses;
};

// Those that are of a worker which nobody knows any more: the supervisor that started it has ended, and kept nothing of it. Not
// what a known worker has started, however far away it went: it is of his group, descends from it, or speaks for him.
[[nodiscard]] std::vector<std::int64_t> left_over(std::span<const ProcessFacts> processes, const KnownWorkers& known);

}  // namespace holdfast
