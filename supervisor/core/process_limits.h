#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace holdfast {

// What a process may use of a resource (setrlimit(2)). Bytes, seconds, microseconds or a number, as the resource has it.
struct ResourceLimit {
  enum class Resource {
    As,
    Core,
    Cpu,
    Data,
    Fsize,
    Locks,
    Memlock,
    Msgqueue,
    Nice,
    Nofile,
    Nproc,
    Rtprio,
    Rttime,
    Sigpending,
    Stack
  };
  static constexpr std::uint64_t kUnlimited = UINT64_MAX;
  Resource resource = Resource::Nofile;
  std::uint64_t soft = 0;  // never above `hard`
  std::uint64_t hard = 0;
  bool operator==(const ResourceLimit&) const = default;
};

// In the order in which they were written, no resource twice. Of one that is not named the supervisor's limit holds.
using ResourceLimits = std::vector<ResourceLimit>;

[[nodiscard]] std::string_view to_text(ResourceLimit::Resource resource);  // "nofile"
// "nofile=65536,core=0:unlimited": soft and hard limit, or one value for both. Errors show what would be right.
[[nodiscard]] Result<ResourceLimits> parse_resource_limits(std::string_view text);
[[nodiscard]] std::string to_text(const ResourceLimits& limits);

// The bits that new files of a process do not get; nothing: as the supervisor has it.
struct FileMask {
  std::optional<unsigned> bits;
  bool operator==(const FileMask&) const = default;
};
// Octal digits, "0027".
[[nodiscard]] Result<FileMask> parse_file_mask(std::string_view text);
[[nodiscard]] std::string to_text(FileMask mask);  // four digits

}  // namespace holdfast
