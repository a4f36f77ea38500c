#pragma once

#include <string_view>

#include "core/pomelo_servers.h"
#include "core/result.h"

namespace holdfast {

// Pomelo's config/servers.json: an object of environments, each an object of kinds of servers, each a list. Without environments, as
// config/ENVIRONMENT/servers.json has it, they are those of "development".
[[nodiscard]] Result<PomeloEnvironments> parse_pomelo_file(std::string_view json);

}  // namespace holdfast
