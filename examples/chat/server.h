#pragma once

#include <holdfast/bus.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "room.h"

namespace chat {

// A chat worker: takes up connections from the supervisor, and lines of all rooms from the bus. What somebody says is published;
// every worker hears it, this one too, and shows it to those in the room. So all see the lines of a room in one order.
class Server {
 public:
  Server(boost::asio::io_context& context, hf_worker* worker, std::string machine);

  // Serves until it is drained.
  void run();

  // What sessions tell.
  void on_opened(Session& session) { sessions_.insert(&session); }
  void on_closed(Session& session);
  void on_left(Session& session);
  void on_text(Session& session, const std::string& text);
  [[nodiscard]] std::string welcome() const;

 private:
  void watch();
  void take_up();
  void on_connection(const hf_connection& connection);
  void on_message(const hf_message& message);
  void begin_drain(std::uint64_t deadline_ns);
  void join(Session& session, const std::string& room, const std::string& name);
  // What the bus has no room for now goes as soon as it has.
  void publish(const std::string& room, const char* what, std::string json);
  void send_pending();
  // Null: there are too many rooms, and somebody is in each.
  Room* room_of(const std::string& name);
  void notice(const std::string& room, const std::string& text);

  boost::asio::io_context& context_;
  hf_worker* worker_;
  std::string machine_;
  boost::asio::posix::stream_descriptor events_;
  boost::asio::steady_timer deadline_;
  struct Pending {
    std::string topic;
    std::string json;
  };
  std::deque<Pending> pending_;
  boost::asio::steady_timer again_;
  std::map<std::string, Room> rooms_;
  std::set<Session*> sessions_;
  std::uint64_t last_line_ = 0;
  bool is_draining_ = false;
};

}  // namespace chat
