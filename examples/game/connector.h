#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "server.h"

namespace game {

// The server that players stay with. It listens on a port of its own, the first one's plus its slot, and has no game in it: what
// players ask goes to the chat server of their room (hf_call, placed by the room), and what that one pushes to a room comes over the
// bus to every connector that has somebody there.
//
//   {"route":"enter","room":"lobby","user":"ann"}    {"route":"enter","users":["ann"],"lines":[]}
//   {"route":"say","text":"hello"}                   {"route":"say"}    and everybody there gets {"push":"say","user":"ann","text":"hello"}
//   {"route":"leave"}                                {"route":"leave"}
//
// What goes wrong is answered with {"route":"error","text":...}.
class Connector : public Server {
 public:
  Connector(boost::asio::io_context& context, holdfast::Worker& worker, std::uint16_t port);
  void on_line(Player& player, const Json& line) override;
  void on_gone(Player& player) override;

 protected:
  bool begin() override;
  void on_message(const holdfast::Message& message) override;
  void on_reply(const holdfast::Reply& reply) override;
  void on_members() override;
  void on_leaving() override;

 private:
  using Room = std::set<Player*>;
  void accept();
  void enter(Player& player, const std::string& room, const std::string& user);
  void leave(Player& player);
  void ask(Player* player, const std::string& room, const Json& question);
  std::uint64_t call(const std::string& room, Json question);
  void tell_who_is_here();

  std::uint16_t port_;
  Tcp::acceptor acceptor_;
  std::map<std::string, Room> rooms_;  // that have somebody here
  std::map<std::uint64_t, std::weak_ptr<Player>> asked_;
  std::set<std::uint64_t> told_;     // who is here, and not answered yet
  boost::asio::steady_timer again_;  // for what was told to nobody
};

}  // namespace game
