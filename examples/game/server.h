#pragma once

#include <holdfast/worker.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "player.h"

namespace game {

using Json = nlohmann::json;
using Tcp = boost::asio::ip::tcp;

// What the three kinds of server have in common: a worker of Holdfast in a loop of Boost.Asio, with players that speak lines of JSON.
// A kind of server says what it does with what comes.
class Server {
 public:
  Server(boost::asio::io_context& context, holdfast::Worker& worker);
  virtual ~Server() = default;
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Serves until it is drained.
  void run();

  // What players tell.
  virtual void on_line(Player&, const Json&) {}
  virtual void on_gone(Player& player);

 protected:
  virtual bool begin() { return true; }  // false: it cannot serve, and has said why
  virtual void on_message(const holdfast::Message&) {}
  virtual void on_call(const holdfast::Call&) {}
  virtual void on_reply(const holdfast::Reply&) {}
  virtual void on_members() {}
  virtual void on_leaving() {}

  void take_in(Tcp::socket socket);
  // Slots of the pool that have a serving worker, in their order.
  [[nodiscard]] std::vector<unsigned> serving(const char* pool);
  [[nodiscard]] holdfast::Worker& worker() { return worker_; }
  [[nodiscard]] boost::asio::io_context& context() { return context_; }

 private:
  void watch();
  void take_up();
  void on_event(holdfast::Event& event);
  void begin_drain(holdfast::MonotonicTime deadline);

  boost::asio::io_context& context_;
  holdfast::Worker& worker_;
  boost::asio::posix::stream_descriptor events_;
  boost::asio::steady_timer deadline_;
  std::set<Player*> players_;
  bool is_draining_ = false;
};

// A member that is text of at most `limit` bytes; else empty.
[[nodiscard]] std::string text_in(const Json& json, const char* name, std::size_t limit);
// Bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] std::string line_of(const Json& json);
// To stderr, which the supervisor puts into its log.
void complain(std::string_view text);

}  // namespace game
