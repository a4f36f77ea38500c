#pragma once

#include <cstdint>
#include <string>

#include "ctl/table.h"
#include "wire/route_answer.h"

namespace holdfast {

enum class RouteDetail : std::uint8_t {
  Placement,  // how the slot follows from the client
  All,        // beside that how it came to the pool, who is in the slot, and the limits
};

// `holdfast route ADDRESS` for people: the answer first, then every step that leads to it.
[[nodiscard]] std::string render_route(const RouteAnswer& answer, RouteDetail detail, Colours colours);

}  // namespace holdfast
