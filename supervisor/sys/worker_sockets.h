#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace holdfast {

// What /proc tells of a worker that tells nothing itself. A worker is the process group that it leads: itself and those
// of its descendants that have not left the group. Where /proc does not let us see, there is nothing.

// The connections that came to one of these local ports and are still open in the worker. Each look reads what /proc
// has of all connections of this machine's network: milliseconds, where these are thousands.
[[nodiscard]] std::size_t open_connections(pid_t worker, std::span<const std::uint16_t> ports);

// Whether a thread of the worker waits in accept(2), whatever the socket.
[[nodiscard]] bool waits_in_accept(pid_t worker);

// Whether the worker's first thread does something else than wait for events (epoll), as an event loop does once it has started.
[[nodiscard]] bool is_at_work(pid_t worker);

// Whether every thread of that one's process waits for something, and none of them in bind(2) or listen(2), which we may be the
// ones to answer. So does a process that is no more, or that we may not see.
[[nodiscard]] bool is_asleep(pid_t thread);

}  // namespace holdfast
