#pragma once

#include <string>
#include <vector>

#include "core/pm2_app.h"

namespace holdfast {

// A configuration file that does what these applications do under PM2: a pool for each, and a listener for those in
// cluster mode. What has no equivalent, and what must be looked at, stands in comments above the pool in question.
[[nodiscard]] std::string import_pm2(const std::vector<Pm2App>& apps);

}  // namespace holdfast
