#pragma once

#include <string>

#include "core/listen_address.h"
#include "core/result.h"
#include "sys/unique_fd.h"

namespace holdfast {

// The Unix half of `listen_on` (sys/sockets.h), where the contract stands. `doing` is the beginning of every error.
[[nodiscard]] Result<UniqueFd> listen_on_unix(const UnixAddress& address, int backlog, const std::string& doing);

}  // namespace holdfast
