#pragma once

#include <string_view>
#include <vector>

#include "core/pm2_app.h"
#include "core/result.h"

namespace holdfast {

// The applications of an ecosystem file of PM2 in its JSON form (what `module.exports` of ecosystem.config.js is): an
// object with `apps`, a list of applications, or one of them. The names of the keys are PM2's, in both of their spellings.
[[nodiscard]] Result<std::vector<Pm2App>> parse_pm2_file(std::string_view json);

}  // namespace holdfast
