#include "wire/route_answer.h"

#include "wire/json_members.h"

namespace holdfast {

std::string to_json(const RouteAnswer& answer) {
  Json object = {{"address", answer.address}, {"key", answer.key},         {"hash", answer.hash},
                 {"bucket", answer.bucket},   {"buckets", answer.buckets}, {"pool", answer.pool}};
  object["slot"] = answer.slot ? Json(*answer.slot) : Json();
  object["home"] = answer.home;
  object["preference"] = answer.preference;
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
  if (!fault.empty()) return Error{{}, "read the answer to route: " + fault};
  return answer;
}

}  // namespace holdfast
