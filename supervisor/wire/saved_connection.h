#pragma once

#include <string>

namespace holdfast {

// For whom a state is saved. What waited with the supervisor itself is gone with it after a sudden end.
enum class SavedFor { Upgrade, SuddenEnd };

// A connection that nobody has taken up, in a saved state.
struct SavedConnection {
  std::string fd;
  std::string record;        // the bytes of its hf_connection_record, hexadecimal
  std::string details = {};  // what stands behind it, likewise
};

}  // namespace holdfast
