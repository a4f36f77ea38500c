#include "wire/clients_answer.h"

#include <utility>

#include "wire/json_members.h"

namespace holdfast {

std::string to_json(const ClientsAnswer& answer) {
  Json listeners = Json::array();
  for (const ClientsAnswer::Listener& listener : answer.listeners) {
    Json sources = Json::array();
    for (const ClientsAnswer::Source& source : listener.sources) {
      sources.push_back(Json{{"address", source.address},
                             {"open", source.open},
                             {"seen", source.seen},
                             {"refused", source.refused},
                             {"banned", source.banned}});
    }
    listeners.push_back(Json{{"name", listener.name},
                             {"remembers", listener.remembers},
                             {"counts_open", listener.counts_open},
                             {"limits", listener.limits},
                             {"sources", std::move(sources)}});
  }
  return json_text(Json{{"listeners", std::move(listeners)}});
}

Result<ClientsAnswer> parse_clients_answer(std::string_view json) {
  const Json object = parse_json(json);
  std::string fault;
  JsonMembers members(object, fault);
  ClientsAnswer answer;
  members.each("listeners", [&](JsonMembers& one) {
    ClientsAnswer::Listener& listener = answer.listeners.emplace_back();
    one.read("name", listener.name);
    one.read("remembers", listener.remembers);
    one.read("counts_open", listener.counts_open);
    one.read("limits", listener.limits);
    one.each("sources", [&](JsonMembers& each) {
      ClientsAnswer::Source& source = listener.sources.emplace_back();
      each.read("address", source.address);
      each.read("open", source.open);
      each.read("seen", source.seen);
      each.read("refused", source.refused);
      each.read("banned", source.banned);
    });
  });
  if (!fault.empty()) return Error{{}, "read the answer to clients: " + fault};
  return answer;
}

}  // namespace holdfast
