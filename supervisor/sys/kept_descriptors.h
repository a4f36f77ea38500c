#pragma once

#include <sys/types.h>

#include <optional>

#include "sys/unique_fd.h"

namespace holdfast {

// What can be found out about descriptors that somebody kept for us.

// Another descriptor of the same open file, close-on-exec; empty if there is none to be had.
[[nodiscard]] UniqueFd copy_of(BorrowedFd fd);
[[nodiscard]] bool is_socket(BorrowedFd fd);
// A pidfd; empty if there is no such process.
[[nodiscard]] UniqueFd hold_process(pid_t pid);
// Whom a pidfd holds, as we number processes; nothing if he has ended, or for any other descriptor.
[[nodiscard]] std::optional<pid_t> process_of(BorrowedFd pidfd);

}  // namespace holdfast
