#pragma once

#include <deque>
#include <map>
#include <string>

#include "server.h"

namespace game {

// The server that has the rooms, each in one of these: who is in it, and what was said last. It has no players, only the bus.
class Chat : public Server {
 public:
  using Server::Server;

 protected:
  void on_call(const holdfast::Call& call) override;
  void on_members() override;

 private:
  struct Room {
    std::map<std::string, unsigned> users;  // and the connector that has them
    std::deque<Json> lines;
  };
  [[nodiscard]] Json answer(const std::string& name, const Json& question);
  void push(const std::string& room, const Json& what);

  std::map<std::string, Room> rooms_;
};

}  // namespace game
