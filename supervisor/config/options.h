#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "core/result.h"

namespace holdfast {

// One option of `holdfast run`: one row of the one table from which the command line, the environment variables, the
// defaults in the help and the check of the manual are made. HOLDFAST_START_TIMEOUT in the environment is
// --start-timeout.
struct Option {
  std::string flag;        // "--start-timeout"
  std::string value_name;  // "TIME"
  std::string group;       // heading in the help
  std::string help;
  std::function<Outcome(Config&, std::string_view)> set;
  std::function<std::string(const Config&)> get;
};

[[nodiscard]] const std::vector<Option>& options();
// "HOLDFAST_START_TIMEOUT"
[[nodiscard]] std::string environment_name(const Option& option);

// What no single value shows: limits that contradict each other, names used twice, ... All mistakes, not only the
// first.
[[nodiscard]] std::vector<std::string> find_mistakes(const Config& config);

}  // namespace holdfast
