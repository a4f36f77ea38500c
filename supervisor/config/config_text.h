#pragma once

#include <string>

#include "config/config.h"
#include "core/result.h"

namespace holdfast {

// A configuration as a file, holdfast.toml(5), that says what differs from the defaults. Reading it gives the same
// configuration again (`assemble`), as far as the table of options knows it: who relies on that, compares.
[[nodiscard]] std::string config_text(const Config& config);

// What `config_text` wrote, read again. Errors: all mistakes, one in each line. A program that does not know one of the
// keys finds a mistake there, as it should: somebody has chosen the value.
[[nodiscard]] Result<Config> config_of_text(const std::string& text);

}  // namespace holdfast
