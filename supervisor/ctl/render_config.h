#pragma once

#include <string>

#include "config/assemble.h"
#include "ctl/table.h"

namespace holdfast {

// `holdfast check` for people: every value that is in force, and where it comes from.
[[nodiscard]] std::string render_config(const Assembled& assembled, Colours colours);
// The same and the mistakes, as one JSON object.
[[nodiscard]] std::string config_json(const Assembled& assembled);

}  // namespace holdfast
