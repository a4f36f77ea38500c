#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/streambuf.hpp>
#include <deque>
#include <memory>
#include <string>

namespace game {

class Server;

// A connected client that speaks lines of JSON. Lives as long as something of it is under way.
class Player : public std::enable_shared_from_this<Player> {
 public:
  Player(Server& server, boost::asio::ip::tcp::socket socket);
  ~Player();
  Player(const Player&) = delete;
  Player& operator=(const Player&) = delete;

  void start() { read(); }
  // One that does not take what it is sent is cut off.
  void send(std::string line);
  // No line of it is read any more, and it is told that there is no more.
  void close_after_last();
  // The server is about to go, and this player with the loop, later.
  void forget_server() { server_ = nullptr; }

  std::string user;  // empty: it has not said who it is
  std::string room;  // empty: in none

 private:
  void read();
  void write();
  void end();

  Server* server_;
  boost::asio::ip::tcp::socket socket_;
  boost::asio::streambuf read_;
  std::deque<std::string> unsent_;
  bool is_closing_ = false;
};

}  // namespace game
