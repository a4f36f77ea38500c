#include "wire/route_answer.h"

#include "wire/json_members.h"

namespace holdfast {

std::string to_json(const RouteAnswer& answer) {
  Json object = {{"address", answer.address}, {"key", answer.key},         {"hash", answer.hash},
                 {"bucket", answer.bucket},   {"buckets", answer.buckets}, {"pool", answer.pool}};
  object["slot"] = answer.slot ? Json(*answer.slot) : Json();
  object["home"] = answer.home;
  object["preference"] = answer.preference;
  object["decided_by"] = answer.decided_by;
  object["placement"] = answer.placement;
  object["key_name"] = answer.key_name;
  object["listener"] = answer.listener;
  object["address_from"] = answer.address_from;
  object["route"] = answer.route;
  object["routes"] = answer.routes;
  object["missing"] = answer.missing;
  object["refused"] = answer.refused;
  object["limits"] = answer.limits;
  object["weight"] = answer.weight;
  object["holder"] = answer.holder ? Json(*answer.holder) : Json();
  return json_text(object);
}

Result<RouteAnswer> parse_route_answer(std::string_view json) {
  const Json object = parse_json(json);
  std::string fault;
  JsonMembers members(object, fault);
  RouteAnswer answer;
  members.read("address", answer.address);
  members.read("key", answer.key);
  members.read("hash", answer.hash);
  members.read("bucket", answer.bucket);
  members.read("buckets", answer.buckets);
  members.read("pool", answer.pool);
  members.read("slot", answer.slot);
  members.read("home", answer.home);
  members.read("preference", answer.preference);
  members.read("decided_by", answer.decided_by);
  members.read("placement", answer.placement);
  members.read("key_name", answer.key_name);
  members.read("listener", answer.listener);
  members.read("address_from", answer.address_from);
  members.read("route", answer.route);
  members.read("routes", answer.routes);
  members.read("missing", answer.missing);
  members.read("refused", answer.refused);
  members.read("limits", answer.limits);
  members.read("weight", answer.weight);
  members.read("holder", answer.holder);
  if (!fault.empty()) return Error{{}, "read the answer to route: " + fault};
  return answer;
}

}  // namespace holdfast
