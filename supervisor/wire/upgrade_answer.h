#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/result.h"

namespace holdfast {

// The answer to `upgrade`: of the program that has taken over, or, to somebody who does not wait, of the one before it.
struct UpgradeAnswer {
  bool done = false;
  std::string version;
  std::uint64_t epoch = 0;
};

[[nodiscard]] std::string to_json(const UpgradeAnswer& answer);
[[nodiscard]] Result<UpgradeAnswer> parse_upgrade_answer(std::string_view json);

}  // namespace holdfast
