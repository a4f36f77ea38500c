#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/websocket/stream.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "room.h"

namespace chat {

class Server;

// One client: a browser that fetches the page, or the page's WebSocket. Lives as long as something of it is under way.
class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Server& server, boost::asio::ip::tcp::socket socket);
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  void start();
  // To the page. One that does not take what it is sent is cut off.
  void send(Text text);
  // The server is about to go, and this session with the loop, later.
  void forget_server() { server_ = nullptr; }
  // The worker is about to leave: the page is told to come back.
  void go_away();

  std::string room;  // empty: in none
  std::string name;

 private:
  using Request = boost::beast::http::request<boost::beast::http::string_body>;
  using Answer = boost::beast::http::response<boost::beast::http::string_body>;

  void on_request();
  void answer(boost::beast::http::status status, std::string body, const char* type);
  void upgrade();
  void read();
  void write();
  void close();

  Server* server_;
  boost::beast::websocket::stream<boost::asio::ip::tcp::socket> stream_;
  boost::beast::flat_buffer buffer_;
  Request request_;
  std::optional<Answer> answer_;
  std::deque<Text> unsent_;
  bool is_open_ = false;  // as a WebSocket
  bool is_leaving_ = false;
};

}  // namespace chat
