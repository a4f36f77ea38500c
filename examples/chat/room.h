#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <string_view>

namespace chat {

class Session;
using Text = std::shared_ptr<const std::string>;  // JSON, as it goes to everybody

// Those of a room that this worker serves, and what was said there last, by whomever and at whichever worker.
class Room {
 public:
  static constexpr std::size_t kHistory = 100;

  void enter(Session& session) { here_.insert(&session); }
  void leave(Session& session) { here_.erase(&session); }
  // Keeps the line and hands it to everybody here. One that is known is ignored: after a restart some come twice. `sequence`: of the bus;
  // what was said before this machine was there may come late, and takes its place before what is newer, as far as there is room.
  void add_line(const std::string& id, std::uint64_t sequence, const Text& line);
  // Hands it to everybody here.
  void tell(const Text& text) const;

  [[nodiscard]] std::string history() const;  // {"type":"history","lines":[...]}
  [[nodiscard]] bool is_empty() const { return here_.empty(); }

 private:
  struct Line {
    std::string id;
    std::uint64_t sequence;
    Text text;
  };
  std::deque<Line> lines_;
  std::set<std::string> known_;  // the ids of them
  std::set<Session*> here_;
};

// Small letters, digits and '-', up to 32: a segment of a topic.
[[nodiscard]] bool is_room_name(std::string_view name);

}  // namespace chat
