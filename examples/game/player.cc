#include "player.h"

#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <istream>
#include <utility>

#include "server.h"

namespace game {

using boost::system::error_code;

namespace {

constexpr std::size_t kLongestLine = std::size_t{16} * 1024;
constexpr std::size_t kMaxUnsent = 500;

}  // namespace

Player::Player(Server& server, boost::asio::ip::tcp::socket socket)
    : server_(&server), socket_(std::move(socket)), read_(kLongestLine) {}

Player::~Player() {
  if (server_ != nullptr) server_->on_gone(*this);
}

void Player::read() {
  boost::asio::async_read_until(socket_, read_, '\n', [self = shared_from_this()](error_code error, std::size_t) {
    if (error || self->server_ == nullptr || self->is_closing_) return;
    std::string line;
    std::istream stream(&self->read_);
    std::getline(stream, line);
    const Json json = Json::parse(line, nullptr, false);
    if (!json.is_object()) {
      self->send(R"({"route":"error","text":"a line is an object of JSON"})");
      return self->close_after_last();
    }
    self->server_->on_line(*self, json);
    self->read();
  });
}

void Player::send(std::string line) {
  if (is_closing_) return;
  if (unsent_.size() >= kMaxUnsent) return end();
  unsent_.push_back(std::move(line) + "\n");
  if (unsent_.size() == 1) write();
}

void Player::write() {
  const auto sent = [self = shared_from_this()](error_code error, std::size_t) {
    if (error) return self->unsent_.clear();
    self->unsent_.pop_front();
    if (!self->unsent_.empty()) return self->write();
    if (self->is_closing_) self->end();
  };
  boost::asio::async_write(socket_, boost::asio::buffer(unsent_.front()), sent);
}

void Player::close_after_last() {
  is_closing_ = true;
  if (unsent_.empty()) end();
}

void Player::end() {
  error_code ignored;
  is_closing_ = true;
  socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_both, ignored);
}

}  // namespace game
