#pragma once

#include <string>
#include <string_view>

#include "core/result.h"

namespace holdfast {

// The answer to `reload`.
struct ReloadAnswer {
  std::string text;   // what was changed, and what was not applied; lines
  bool done = false;  // false: it is under way
};

[[nodiscard]] std::string to_json(const ReloadAnswer& answer);
[[nodiscard]] Result<ReloadAnswer> parse_reload_answer(std::string_view json);

}  // namespace holdfast
