#pragma once

#include "core/result.h"
#include "sys/unique_fd.h"

namespace holdfast {

// A descriptor of our own for what somebody else has open, close-on-exec: it can be watched, and goes when we say so.
[[nodiscard]] Result<UniqueFd> duplicate(BorrowedFd fd);

}  // namespace holdfast
