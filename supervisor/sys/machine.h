#pragma once

#include <string>
#include <vector>

#include "core/cpu_list.h"
#include "core/placement_key.h"
#include "core/result.h"

namespace holdfast {

// The hash key of this machine, derived from its machine id (sd_id128_get_machine_app_specific): the mapping of clients
// to slots survives restarts and upgrades without any configuration, and differs between machines. Fails where there is
// no machine id, as in most containers.
[[nodiscard]] Result<HashKey> machine_hash_key();

// A key for where nothing lasting is at hand: as secret as the other, but another one at each call.
[[nodiscard]] Result<HashKey> random_hash_key();

// Another one each time the machine starts: what is only good until then is told apart by it.
[[nodiscard]] Result<std::string> boot_id();

// Number of CPUs that this process may use: those of its affinity, as far as the quotas of its control groups (v2) pay for
// them.
[[nodiscard]] unsigned usable_cpus();
// Whether this process may run on all of these; the error names those that it may not.
[[nodiscard]] Outcome check_cpus(const CpuList& cpus);

// The quotas of a control group, `path` below `root`, and of all above it, in CPUs.
[[nodiscard]] std::vector<double> cpu_quotas(const std::string& root, std::string path);

// As the kernel has it; "?" where it will not say.
[[nodiscard]] std::string host_name();

}  // namespace holdfast
