#pragma once

#include <cstddef>
#include <span>

#include "core/result.h"
#include "sys/fd_passing.h"
#include "sys/unique_fd.h"

namespace holdfast {

// One message made of several pieces, which are not copied together first; with descriptors. At most 128 pieces.
// Otherwise as `send_with_fds`.
[[nodiscard]] Result<SendOutcome> send_gathered(BorrowedFd channel, std::span<const std::span<const std::byte>> pieces,
                                                std::span<const int> fds);

}  // namespace holdfast
