#pragma once

#include <string>
#include <vector>

#include "core/result.h"
#include "sys/sockets.h"
#include "sys/unique_fd.h"

namespace holdfast {

// A descriptor that a service manager gave us at our start (sd_listen_fds(3)).
struct GivenDescriptor {
  std::string name;  // FileDescriptorName= or FDNAME=; "unknown" where the manager gave none
  UniqueFd fd;
};
// All of them, close-on-exec; the variables LISTEN_* are forgotten, so a second call answers none. Before this process has
// closed a descriptor that it did not open.
[[nodiscard]] Result<std::vector<GivenDescriptor>> take_given_descriptors();

// What such a descriptor is as a listener. TCP and Unix stream sockets must listen, UDP sockets be bound.
// Errors say what it is instead; `doing` of them begins with the name.
[[nodiscard]] Result<ListeningSocket> as_listener(GivenDescriptor given);

// Whether other sockets of ours can stand beside it, among which the kernel chooses: it was opened with SO_REUSEPORT, by our
// own user. The error says what to do.
[[nodiscard]] Outcome check_can_be_steered(const ListeningSocket& socket);

}  // namespace holdfast
