#include "server.h"

#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <utility>

namespace game {

using boost::system::error_code;

namespace {

constexpr auto kExitMargin = std::chrono::milliseconds(100);

}  // namespace

Server::Server(boost::asio::io_context& context, holdfast::Worker& worker)
    : context_(context), worker_(worker), events_(context, ::dup(worker.fd())), deadline_(context) {}

void Server::run() {
  if (!begin()) return;
  // Whoever only answers, or asks, says here that it is on the bus.
  if (hf_bus_flush(worker_.get()) < 0) complain(holdfast::Worker::error_text());
  worker_.ready();
  watch();
  context_.run();
  for (Player* player : players_) player->forget_server();
  worker_.drained();
}

void Server::watch() {
  take_up();
  events_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](error_code error) {
    if (!error) watch();
  });
}

void Server::take_up() {
  for (;;) {
    holdfast::Event event = worker_.next();
    if (std::holds_alternative<holdfast::Nothing>(event)) return;
    on_event(event);
    if (std::holds_alternative<holdfast::Gone>(event)) return;
  }
}

void Server::on_event(holdfast::Event& event) {
  if (auto* arrival = std::get_if<holdfast::Arrival>(&event)) {
    const bool is_v6 = arrival->about.remote.generic.sa_family == AF_INET6;
    Tcp::socket socket(context_);
    error_code error;
    socket.assign(is_v6 ? Tcp::v6() : Tcp::v4(), arrival->connection.fd(), error);
    if (error) return;  // the connection closes itself
    (void)arrival->connection.detach();
    take_in(std::move(socket));
  } else if (const auto* message = std::get_if<holdfast::Message>(&event)) {
    on_message(*message);
  } else if (const auto* call = std::get_if<holdfast::Call>(&event)) {
    on_call(*call);
  } else if (const auto* reply = std::get_if<holdfast::Reply>(&event)) {
    on_reply(*reply);
  } else if (std::holds_alternative<holdfast::Members>(event)) {
    on_members();
  } else if (const auto* drain = std::get_if<holdfast::Drain>(&event)) {
    begin_drain(drain->deadline);
  } else if (std::holds_alternative<holdfast::Gone>(event)) {
    begin_drain(std::chrono::steady_clock::now() + std::chrono::seconds(10));
  } else if (const auto* fault = std::get_if<holdfast::Fault>(&event)) {
    complain(fault->text);
  } else if (const auto* lost = std::get_if<holdfast::Lost>(&event)) {
    complain(std::to_string(lost->messages) + " messages were lost: this worker was too slow");
  }
}

void Server::take_in(Tcp::socket socket) {
  const auto player = std::make_shared<Player>(*this, std::move(socket));
  players_.insert(player.get());
  player->start();
}

void Server::on_gone(Player& player) {
  players_.erase(&player);
  worker_.closed(1);
  if (is_draining_ && players_.empty()) context_.stop();
}

void Server::begin_drain(holdfast::MonotonicTime deadline) {
  is_draining_ = true;
  on_leaving();
  if (players_.empty()) return context_.stop();
  for (Player* player : std::set<Player*>(players_)) player->close_after_last();
  deadline_.expires_at(deadline - kExitMargin);
  deadline_.async_wait([this](error_code error) {
    if (!error) context_.stop();
  });
}

std::vector<unsigned> Server::serving(const char* pool) {
  std::vector<hf_member> members(256);
  const int count = hf_members(worker_.get(), pool, members.data(), members.size());
  std::vector<unsigned> slots;
  for (int i = 0; i < count && i < static_cast<int>(members.size()); i++) {
    if (members[static_cast<std::size_t>(i)].node == 0) slots.push_back(members[static_cast<std::size_t>(i)].slot);
  }
  return slots;
}

std::string text_in(const Json& json, const char* name, std::size_t limit) {
  const auto at = json.is_object() ? json.find(name) : json.end();
  if (at == json.end() || !at->is_string()) return {};
  std::string text = at->get<std::string>();
  return text.size() <= limit ? text : std::string{};
}

std::string line_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

void complain(std::string_view text) {
  (void)std::fprintf(stderr, "game: %.*s\n", static_cast<int>(text.size()), text.data());
}

}  // namespace game
