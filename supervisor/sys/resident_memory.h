#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>

namespace holdfast {

// Bytes of resident memory of each process group of this machine that we may look at: the sum over its processes (/proc/PID/stat),
// so what they share counts once for each of them. Processes that come or go meanwhile may be missed. Costs a read
// for each process of the machine.
[[nodiscard]] std::map<pid_t, std::uint64_t> resident_by_group();

}  // namespace holdfast
