#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace holdfast {

// How much CPU time a control group may use: so many CPUs, in parts. From a cpu.max of cgroup v2, "150000 100000".
// Nothing: no limit ("max 100000"), or no such text.
[[nodiscard]] std::optional<double> parse_cpu_max(std::string_view text);

// The path of this process in the one hierarchy of cgroup v2, of the text of /proc/self/cgroup. Nothing where there is none.
[[nodiscard]] std::optional<std::string> unified_cgroup(std::string_view proc_cgroup);

// How many CPUs are worth a worker: those of the affinity, but no more than the least of the quotas pays for. A part of a CPU
// counts as one; at least 1.
[[nodiscard]] unsigned cpus_allowed(unsigned affinity, std::span<const double> quotas);

}  // namespace holdfast
