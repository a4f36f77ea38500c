#pragma once

#include <linux/filter.h>

#include <vector>

#include "core/result.h"

namespace holdfast {

// The seccomp program that stops a process in bind(2) and listen(2) until the holder of the notification descriptor
// has decided (SECCOMP_RET_USER_NOTIF), and lets every other call through. It looks at architecture and number of
// a call and at nothing else, so the kernel remembers its answer for each number and does not run it again: what
// remains is what any filter costs (some 35 ns a call).
//
// Calls of a foreign architecture that the kernel takes beside its own (32-bit programs, x32) would go around it. Their
// bind and listen are refused with EPERM, by socketcall(2) too; the rest of such a program works.
//
// A call by io_uring (IORING_OP_BIND, Linux 6.11) is no system call and is not seen.
//
// Made once by libseccomp, which knows the numbers of every architecture and the many ways of a 32-bit call; the child
// of a fork could not do it.
[[nodiscard]] Result<std::vector<sock_filter>> make_bind_filter();

// Puts the filter on the calling thread, which must have no_new_privs, for good. Answers the descriptor by which the kernel
// tells of intercepted calls (close-on-exec), or -1. For the child of a fork: async-signal-safe.
[[nodiscard]] int set_bind_filter(const sock_fprog& filter) noexcept;

// Whether all this is to be had here: tried in a process of its own. The kernel may be too old, a container may forbid it, and
// what is intercepted itself cannot intercept (EBUSY).
[[nodiscard]] Outcome check_interception();

}  // namespace holdfast
