#include "chat.h"

#include <algorithm>
#include <utility>

namespace game {

namespace {

constexpr std::size_t kHistory = 20;

}  // namespace

void Chat::on_call(const holdfast::Call& call) {
  const Json question = Json::parse(call.text(), nullptr, false);
  const Json said = question.is_object() ? answer(call.about.key, question) : Json();
  const std::string text = said.is_null() ? R"({"route":"error","text":"that is no question"})" : line_of(said);
  if (worker().reply(call, text) < 0) complain(holdfast::Worker::error_text());
}

Json Chat::answer(const std::string& name, const Json& question) {
  const std::string wish = text_in(question, "do", 16);
  const std::string user = text_in(question, "user", 64);
  Room& room = rooms_[name];
  if (wish == "enter" || wish == "stay") {
    const bool is_new = room.users.insert_or_assign(user, question.value("connector", 0U)).second;
    if (is_new && wish == "enter") push(name, {{"push", "enter"}, {"user", user}});
    Json users = Json::array();
    for (const auto& [one, connector] : room.users) users.push_back(one);
    return {{"route", "enter"}, {"users", std::move(users)}, {"lines", room.lines}};
  }
  if (wish == "say") {
    Json line = {{"push", "say"}, {"user", user}, {"text", text_in(question, "text", 2000)}};
    push(name, line);
    room.lines.push_back(std::move(line));
    if (room.lines.size() > kHistory) room.lines.pop_front();
    return {{"route", "say"}};
  }
  if (wish != "leave") return {};
  if (room.users.erase(user) > 0) push(name, {{"push", "leave"}, {"user", user}});
  if (room.users.empty()) rooms_.erase(name);
  return {{"route", "leave"}};
}

void Chat::push(const std::string& room, const Json& what) {
  if (worker().publish(("game." + room).c_str(), line_of(what)) < 0) complain(holdfast::Worker::error_text());
}

// Whom a connector has that is no more, is not here either.
void Chat::on_members() {
  const std::vector<unsigned> connectors = serving("connector");
  for (auto& [name, room] : rooms_) {
    std::vector<std::string> gone;
    for (const auto& [user, connector] : room.users) {
      if (std::find(connectors.begin(), connectors.end(), connector) == connectors.end()) gone.push_back(user);
    }
    for (const std::string& user : gone) {
      room.users.erase(user);
      push(name, {{"push", "leave"}, {"user", user}});
    }
  }
  std::erase_if(rooms_, [](const auto& one) { return one.second.users.empty(); });
}

}  // namespace game
