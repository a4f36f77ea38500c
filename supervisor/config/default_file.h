#pragma once

#include <string>

namespace holdfast {

// A configuration file to start from (`holdfast init`): what must be chosen, and behind '#' every other key with its
// default and its meaning. It is made from the table of options.
[[nodiscard]] std::string default_file();

}  // namespace holdfast
