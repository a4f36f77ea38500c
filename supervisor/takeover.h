#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/config.h"
#include "core/result.h"
#include "sys/fd_table.h"
#include "wire/saved_state.h"

namespace holdfast {

// What a supervisor is given that goes on where another one stopped.
struct Takeover {
  SavedState state;
  Config config;  // of the state: what was in force, whatever the file says by now
  FdTable fds;
};

// Null: there is none.
[[nodiscard]] const PoolConfig* pool_named(const Config& config, const std::string& name);

// The state behind a descriptor, and whether this program can go on with it: what `check-upgrade` asks.
[[nodiscard]] Result<Takeover> read_takeover(BorrowedFd state);

// The same of its text.
[[nodiscard]] Result<Takeover> takeover_of(std::string_view text);

// What the program before us, of which we have the process, has left. Nothing: there was none, this is a start like any
// other.
[[nodiscard]] std::optional<Result<Takeover>> inherited_takeover();

}  // namespace holdfast
