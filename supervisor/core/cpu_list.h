#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "core/ids.h"
#include "core/result.h"

namespace holdfast {

// The numbers of CPUs, in the order in which they were written, none twice and at least one.
using CpuList = std::vector<unsigned>;

// "0-3,8,10-11", as taskset -c and /sys/devices/system/cpu write it. Errors say what was wrong with the text and show a
// form that would be right. Whether the machine has these CPUs is not asked here.
[[nodiscard]] Result<CpuList> parse_cpu_list(std::string_view text);

// The CPUs that the worker of `slot` is pinned to, of the list that its pool was given. Never empty.
//
// The list is dealt out like cards: its i-th CPU goes to slot i, and from the beginning again until all are dealt. With
// as many CPUs as slots that is a CPU each, as with nginx's worker_cpu_affinity; with more, a slot gets several ("0-7"
// for four slots: 0 and 4, 1 and 5, ...); with fewer, slots share, each on one CPU. So a slot's first CPU does not
// depend on how many slots there are, and scaling moves nobody's.
[[nodiscard]] CpuList cpus_of_slot(const CpuList& list, SlotId slot, std::size_t slots);

}  // namespace holdfast
