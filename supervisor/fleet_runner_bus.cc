// What the runner does for the bus.
#include "bus/bus.h"
#include "fleet_runner.h"

namespace holdfast {

Outcome FleetRunner::join_bus(Occupant& occupant) {
  if (hooks_.bus == nullptr || !occupant.offer.channel) return Done{};
  Result<std::unique_ptr<BusMember>> member = hooks_.bus->join(label(occupant.slot));
  if (!member) return std::move(member).error();
  occupant.bus = *std::move(member);
  return Done{};
}

std::vector<bool> FleetRunner::slots_that_serve() const {
  std::vector<bool> serving;
  for (const Fleet::Slot& slot : fleet_.slots()) {
    serving.push_back(slot.incumbent && std::holds_alternative<Fleet::Serving>(slot.incumbent->phase));
  }
  return serving;
}

std::optional<BusMember::Number> FleetRunner::bus_member(SlotId slot) const {
  if (slot.value >= fleet_.slots().size()) return std::nullopt;
  const std::optional<Fleet::Worker>& incumbent = fleet_.slots()[slot.value].incumbent;
  const auto occupant = incumbent ? occupants_.find(incumbent->id) : occupants_.end();
  if (occupant == occupants_.end() || !occupant->second.bus) return std::nullopt;
  return occupant->second.bus->number();
}

}  // namespace holdfast
