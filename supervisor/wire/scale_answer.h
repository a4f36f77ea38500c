#pragma once

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
  bool scaled = false;
};

[[nodiscard]] std::string to_json(const ScaleAnswer& answer);
[[nodiscard]] Result<ScaleAnswer> parse_scale_answer(std::string_view json);

}  // namespace holdfast
