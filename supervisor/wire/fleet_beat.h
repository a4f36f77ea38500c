#pragma once

#include <string>
#include <string_view>

#include "core/fleet_machines.h"

namespace holdfast {

// What a machine says of itself in a beat, as JSON: its name, its place, how large a message it takes, and the pools that it shares,
// with a digit for each slot, 1 where a worker serves. What is missing or malformed is left out: the sender may be another version.
[[nodiscard]] std::string to_json(const FleetMachine& machine);
[[nodiscard]] FleetMachine parse_fleet_machine(std::string_view json);

}  // namespace holdfast
