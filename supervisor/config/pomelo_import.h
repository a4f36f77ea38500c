#pragma once

#include <string>

#include "core/pomelo_servers.h"

namespace holdfast {

// A configuration file for the same servers: a pool for each kind, a listener where there is one server of a kind that players connect
// to, and what other environments have otherwise. The commands are not in Pomelo's file, and must be written; comments tell that and
// whatever else must be looked at.
[[nodiscard]] std::string import_pomelo(const PomeloEnvironments& environments);

}  // namespace holdfast
