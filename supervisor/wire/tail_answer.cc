#include "wire/tail_answer.h"

#include "wire/base64.h"
#include "wire/json_members.h"

namespace holdfast {

std::string to_json(const TailAnswer& answer) {
  Json object = {{"session", answer.session}, {"dropped", answer.dropped}, {"messages", Json::array()}};
  for (const TailMessage& message : answer.messages) {
    object["messages"].push_back({{"topic", message.topic},
                                  {"sequence", message.sequence},
                                  {"size", message.size},
                                  {"data", to_base64(message.data)}});
  }
  return json_text(object);
}

Result<TailAnswer> parse_tail_answer(std::string_view json) {
  const Json object = parse_json(json);
  std::string fault;
  JsonMembers members(object, fault);
  TailAnswer answer;
  members.read("session", answer.session);
  members.read("dropped", answer.dropped);
  members.each("messages", [&](JsonMembers& one) {
    TailMessage& message = answer.messages.emplace_back();
    one.read("topic", message.topic);
    one.read("sequence", message.sequence);
    std::string data;
    one.read("data", data);
    message.data = from_base64(data).value_or("");
    message.size = message.data.size();
    one.read("size", message.size);
  });
  if (!fault.empty()) return Error{{}, "read messages of the bus: " + fault};
  return answer;
}

}  // namespace holdfast
