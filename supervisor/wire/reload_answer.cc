#include "wire/reload_answer.h"

#include "wire/json_members.h"

namespace holdfast {

std::string to_json(const ReloadAnswer& answer) {
  return json_text(Json{{"text", answer.text}, {"reloaded", answer.done}});
}

Result<ReloadAnswer> parse_reload_answer(std::string_view json) {
  const Json object = parse_json(json);
  std::string fault;
  JsonMembers members(object, fault);
  ReloadAnswer answer;
  members.read("text", answer.text);
  members.read("reloaded", answer.done);
  if (!fault.empty()) return Error{{}, "read the answer to reload: " + fault};
  return answer;
}

}  // namespace holdfast
