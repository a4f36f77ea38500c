#pragma once

#include <string>

#include "ctl/table.h"
#include "wire/route_answer.h"

namespace holdfast {

// `holdfast route ADDRESS` for people: the answer first, then every step that leads to it.
[[nodiscard]] std::string render_route(const RouteAnswer& answer, Colours colours);

}  // namespace holdfast
