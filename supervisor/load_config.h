#pragma once

#include <string>
#include <vector>

#include "config/assemble.h"

namespace holdfast {

// Where a configuration comes from, so that it can be read anew.
struct ConfigSource {
  std::string file;  // empty: none
  Given given;
};

// Reads the file, if there is one, and puts everything together. A file that cannot be read is one of the mistakes.
[[nodiscard]] Assembled load_config(const ConfigSource& source);

// Gives the pools that leave their number of workers open as many as there are CPUs.
void choose_workers(Config& config);

}  // namespace holdfast
