#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "core/result.h"
#include "core/time.h"
#include "sys/unique_fd.h"

namespace holdfast {

// The one that started us and wants to hear how we are, by sd_notify(3): the NOTIFY_SOCKET of our environment. The variable
// stays there, and no worker inherits it (sys/environment.h). A message is one datagram; where the manager is slow, sending waits.

// Whether there is one.
[[nodiscard]] bool has_service_manager();
// How often it wants to hear WATCHDOG=1 at least; nothing: never. Twice as often is right.
[[nodiscard]] std::optional<Duration> watchdog_interval();
// Lines of NAME=VALUE. That nobody listens is no error.
[[nodiscard]] Outcome tell_service_manager(const std::string& lines);

// Has the manager keep a descriptor for us under this name, until we take it back or the service is stopped: after our death
// it comes back with `take_given_descriptors`. The name is one for FDNAME=: ASCII without ':', at most 255 bytes. The manager
// does not watch it (FDPOLL=0): we say when it is to go. It drops what does not fit into FileDescriptorStoreMax= and tells
// nobody but its log.
[[nodiscard]] Outcome store_descriptor(const std::string& name, BorrowedFd fd);
// How many it keeps at most; nothing where it does not say (before systemd 254).
[[nodiscard]] std::optional<std::size_t> room_of_descriptor_store();
// All that it keeps under this name.
[[nodiscard]] Outcome forget_descriptor(const std::string& name);

}  // namespace holdfast
