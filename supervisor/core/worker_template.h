#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/ids.h"

namespace holdfast {

// What the arguments and the environment values of a worker may name:
//   {slot}   the slot, counted from 0
//   {slots}  how many slots the pool has
//   {name}   the pool
//   {cpu}    the first CPU that the worker is pinned to
//   {pid}    its process id
//   {{       a brace
// Everything else stays as it is, an unknown {word} too: JSON among the arguments needs no escape.
struct WorkerIdentity {
  SlotId slot;
  std::uint32_t slots = 0;
  std::string_view name;
  std::optional<unsigned> cpu;  // nothing: the worker is not pinned, and {cpu} stays as it is
};

// Stands for the process id, which nobody knows before the fork: `spawn` has the child write the number over it. No
// argument can hold it by chance, because none can hold a zero byte; and it is as long as the longest process id
// (Linux never gives more than 2^22).
inline constexpr std::string_view kPidMarker{"\0{pid}\0", 7};

// `text` with everything filled in but the process id, which becomes kPidMarker.
[[nodiscard]] std::string expand_worker_template(std::string_view text, const WorkerIdentity& worker);

}  // namespace holdfast
