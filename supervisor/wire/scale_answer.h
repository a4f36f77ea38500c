#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace holdfast {

// The answer to `scale`: what the change means for the clients, and whether it is complete.
struct ScaleAnswer {
  std::string pool;
  unsigned slots = 0;
  unsigned moved_buckets = 0;  // so many of `buckets` meet another worker
  unsigned buckets = 0;
  std::optional<std::uint64_t> clients;  // that came within ten minutes; nothing: they are not seen (the steer plane)
  std::uint64_t moved_clients = 0;       // so many of these
  bool scaled = false;
};

[[nodiscard]] std::string to_json(const ScaleAnswer& answer);
[[nodiscard]] Result<ScaleAnswer> parse_scale_answer(std::string_view json);

}  // namespace holdfast
