#include "wire/fleet_beat.h"

#include <utility>

#include "core/bucket_table.h"
#include "wire/json_members.h"

namespace holdfast {

std::string to_json(const FleetMachine& machine) {
  Json pools = Json::array();
  for (const FleetPool& pool : machine.pools) {
    std::string serving;
    for (const bool serves : pool.serving) serving += serves ? '1' : '0';
    pools.push_back({{"name", pool.name}, {"serving", serving}});
  }
  return json_text(Json{
      {"machine", machine.name}, {"place", machine.place}, {"largest", machine.largest}, {"pools", std::move(pools)}});
}

FleetMachine parse_fleet_machine(std::string_view json) {
  FleetMachine machine;
  std::string fault;
  const Json object = parse_json(json);
  JsonMembers members(object, fault);
  members.read("machine", machine.name);
  members.read("place", machine.place);
  if (machine.place.empty()) machine.place = machine.name;
  members.read("largest", machine.largest);
  members.each("pools", [&](JsonMembers& one) {
    FleetPool pool;
    std::string serving;
    one.read("name", pool.name);
    one.read("serving", serving);
    if (serving.size() > kMaxSlots) return;
    for (const char digit : serving) pool.serving.push_back(digit == '1');
    machine.pools.push_back(std::move(pool));
  });
  return machine;
}

}  // namespace holdfast
