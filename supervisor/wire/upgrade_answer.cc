#include "wire/upgrade_answer.h"

#include "wire/json_members.h"

namespace holdfast {

std::string to_json(const UpgradeAnswer& answer) {
  return json_text(Json{{"done", answer.done}, {"version", answer.version}, {"epoch", answer.epoch}});
}

Result<UpgradeAnswer> parse_upgrade_answer(std::string_view json) {
  const Json object = parse_json(json);
  std::string fault;
  JsonMembers members(object, fault);
  UpgradeAnswer answer;
  members.read("done", answer.done);
  members.read("version", answer.version);
  members.read("epoch", answer.epoch);
  if (!fault.empty()) return Error{{}, "read the answer to upgrade: " + fault};
  return answer;
}

}  // namespace holdfast
