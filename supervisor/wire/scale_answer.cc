#include "wire/scale_answer.h"

#include "wire/json_members.h"

namespace holdfast {

std::string to_json(const ScaleAnswer& answer) {
  return json_text(Json{{"pool", answer.pool},
                        {"slots", answer.slots},
                        {"moved_buckets", answer.moved_buckets},
                        {"buckets", answer.buckets},
                        {"scaled", answer.scaled}});
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
  if (!fault.empty()) return Error{{}, "read the answer to scale: " + fault};
  return answer;
}

}  // namespace holdfast
