#pragma once

#include <sys/types.h>

#include <vector>

#include "core/listen_address.h"

namespace holdfast {

// The TCP addresses on which a process listens with sockets of its own, as /proc tells: for the explanation of why a
// worker that ought to be given its connections gets none. Empty where /proc does not let us see.
[[nodiscard]] std::vector<TcpAddress> own_listeners(pid_t pid);

}  // namespace holdfast
