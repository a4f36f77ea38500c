#pragma once

#include "wire/bus_status.h"
#include "wire/json_members.h"

namespace holdfast {

// The bus's part of the answer to `status`.
[[nodiscard]] Json json_of(const BusStatus& bus);
void read(JsonMembers& members, BusStatus& bus);

}  // namespace holdfast
