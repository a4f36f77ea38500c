#pragma once

#include "sys/fd_table.h"
#include "wire/saved_state.h"
#include "worker/connection_sink.h"

namespace holdfast {

// A connection that nobody has taken up, in a state that is saved. One whose descriptor is not in the table comes without: it
// counts as lost.
[[nodiscard]] SavedConnection save_connection(const Connection& connection, FdList& fds);
[[nodiscard]] Connection take_connection(const SavedConnection& saved, FdTable& fds);

}  // namespace holdfast
