#include "room.h"

#include <algorithm>

#include "session.h"

namespace chat {

void Room::add_line(const std::string& id, std::uint64_t sequence, const Text& line) {
  if (!known_.insert(id).second) return;
  const auto older =
      std::find_if(lines_.rbegin(), lines_.rend(), [&](const Line& one) { return one.sequence < sequence; });
  lines_.insert(older.base(), {id, sequence, line});
  if (lines_.size() > kHistory) {
    known_.erase(lines_.front().id);
    lines_.pop_front();
  }
  if (known_.contains(id)) tell(line);
}

void Room::tell(const Text& text) const {
  for (Session* session : here_) session->send(text);
}

std::string Room::history() const {
  std::string text = R"({"type":"history","lines":[)";
  for (const Line& line : lines_) text += (&line == &lines_.front() ? "" : ",") + *line.text;
  return text + "]}";
}

bool is_room_name(std::string_view name) {
  return !name.empty() && name.size() <= 32 && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

}  // namespace chat
