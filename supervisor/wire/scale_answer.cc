#include "wire/scale_answer.h"

#include "wire/json_members.h"

namespace holdfast {

std::string to_json(const ScaleAnswer& answer) {
  Json object{{"pool", answer.pool},
              {"slots", answer.slots},
              {"moved_buckets", answer.moved_buckets},
              {"buckets", answer.buckets},
              {"scaled", answer.scaled}};
  if (answer.clients) {
    object["clients"] = *answer.clients;
    object["moved_clients"] = answer.moved_clients;
  }
  return json_text(object);
}

Result<ScaleAnswer> parse_scale_answer(std::string_view json) {
  const Json object = parse_json(json);
  std::string fault;
  JsonMembers members(object, fault);
  ScaleAnswer answer;
  members.read("pool", answer.pool);
  members.read("slots", answer.slots);
  members.read("moved_buckets", answer.moved_buckets);
  members.read("buckets", answer.buckets);
  members.read("scaled", answer.scaled);
  if (object.contains("clients")) members.read("clients", answer.clients.emplace());
  members.read("moved_clients", answer.moved_clients);
  if (!fault.empty()) return Error{{}, "read the answer to scale: " + fault};
  return answer;
}

}  // namespace holdfast
