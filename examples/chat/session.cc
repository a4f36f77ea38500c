#include "session.h"

#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/write.hpp>
#include <boost/beast/websocket/rfc6455.hpp>
#include <utility>

#include "page.h"
#include "server.h"

namespace chat {

namespace beast = boost::beast;
namespace http = boost::beast::http;
namespace websocket = boost::beast::websocket;
using boost::system::error_code;

namespace {

constexpr std::size_t kMaxUnsent = 500;         // texts; a page that is so far behind is better off with the history
constexpr std::size_t kMaxMessage = 16 * 1024;  // bytes from the page

}  // namespace

Session::Session(Server& server, boost::asio::ip::tcp::socket socket) : server_(&server), stream_(std::move(socket)) {
  server_->on_opened(*this);
}

Session::~Session() {
  if (server_ != nullptr) server_->on_closed(*this);
}

void Session::start() {
  http::async_read(stream_.next_layer(), buffer_, request_, [self = shared_from_this()](error_code error, std::size_t) {
    if (!error) self->on_request();
  });
}

void Session::on_request() {
  if (websocket::is_upgrade(request_)) return upgrade();
  if (request_.method() != http::verb::get && request_.method() != http::verb::head) {
    return answer(http::status::method_not_allowed, "GET is all there is\n", "text/plain");
  }
  if (request_.target() == "/") return answer(http::status::ok, kPage, "text/html; charset=utf-8");
  if (request_.target() == "/health") return answer(http::status::ok, "ok\n", "text/plain");
  answer(http::status::not_found, "there is only /\n", "text/plain");
}

// One answer a connection: pages are fetched once, and then speak WebSocket.
void Session::answer(http::status status, std::string body, const char* type) {
  Answer& made = answer_.emplace(status, request_.version());
  made.set(http::field::content_type, type);
  made.set(http::field::cache_control, "no-store");
  made.keep_alive(false);
  made.body() = request_.method() == http::verb::head ? "" : std::move(body);
  made.prepare_payload();
  http::async_write(stream_.next_layer(), made, [self = shared_from_this()](error_code, std::size_t) {
    error_code ignored;
    self->stream_.next_layer().shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
  });
}

void Session::upgrade() {
  // Pings find the dead; suggested for servers: 30 s for the handshake, 300 s of silence.
  stream_.set_option(websocket::stream_base::timeout::suggested(beast::role_type::server));
  stream_.read_message_max(kMaxMessage);
  stream_.async_accept(request_, [self = shared_from_this()](error_code error) {
    if (error) return;
    self->is_open_ = true;
    self->buffer_.clear();
    self->send(std::make_shared<const std::string>(self->server_->welcome()));
    if (self->is_leaving_) return self->close();
    self->read();
  });
}

void Session::read() {
  stream_.async_read(buffer_, [self = shared_from_this()](error_code error, std::size_t) {
    if (error) {
      self->is_open_ = false;
      return self->server_->on_left(*self);
    }
    self->server_->on_text(*self, beast::buffers_to_string(self->buffer_.data()));
    self->buffer_.clear();
    self->read();
  });
}

void Session::send(Text text) {
  if (!is_open_) return;
  if (unsent_.size() >= kMaxUnsent) {
    error_code ignored;
    is_open_ = false;
    stream_.next_layer().shutdown(boost::asio::ip::tcp::socket::shutdown_both, ignored);
    return;
  }
  unsent_.push_back(std::move(text));
  if (unsent_.size() == 1) write();
}

void Session::write() {
  stream_.text(true);
  stream_.async_write(boost::asio::buffer(*unsent_.front()),
                      [self = shared_from_this()](error_code error, std::size_t) {
                        if (error) return self->unsent_.clear();
                        self->unsent_.pop_front();
                        if (!self->unsent_.empty()) return self->write();
                        if (self->is_leaving_) self->close();
                      });
}

void Session::go_away() {
  is_leaving_ = true;
  if (is_open_ && unsent_.empty()) close();
}

void Session::close() {
  if (!std::exchange(is_open_, false)) return;
  stream_.async_close(websocket::close_code::going_away, [self = shared_from_this()](error_code) {});
}

}  // namespace chat
