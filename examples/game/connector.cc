#include "connector.h"

#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace game {

using boost::system::error_code;

namespace {

constexpr std::uint32_t kPatience = 5000;  // milliseconds
constexpr auto kPause = std::chrono::milliseconds(200);

// A segment of a topic.
bool is_room_name(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

std::string topic_of(const std::string& room) { return "game." + room; }

}  // namespace

Connector::Connector(boost::asio::io_context& context, holdfast::Worker& worker, std::uint16_t port)
    : Server(context, worker),
      port_(static_cast<std::uint16_t>(port + worker.info().slot)),
      acceptor_(context),
      again_(context) {}

// Shared, because at a reload the next connector of this slot listens before this one has left.
bool Connector::begin() {
  error_code error;
  const Tcp::endpoint here(Tcp::v4(), port_);
  const int on = 1;
  (void)acceptor_.open(here.protocol(), error);
  if (!error) (void)acceptor_.set_option(Tcp::acceptor::reuse_address(true), error);
  if (!error) (void)::setsockopt(acceptor_.native_handle(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
  if (!error) (void)acceptor_.bind(here, error);
  if (!error) (void)acceptor_.listen(boost::asio::socket_base::max_listen_connections, error);
  if (error) {
    complain("cannot listen on port " + std::to_string(port_) + ": " + error.message());
    return false;
  }
  accept();
  return true;
}

void Connector::accept() {
  acceptor_.async_accept([this](error_code error, Tcp::socket socket) {
    if (error == boost::asio::error::operation_aborted) return;
    if (!error) take_in(std::move(socket));
    accept();
  });
}

// Who waits in our queue is taken in, and sent away with the others: the kernel would reset him. (Between the last look and the close
// somebody may come still; with net.ipv4.tcp_migrate_req=1 the kernel gives him to the next connector of this slot.)
void Connector::on_leaving() {
  error_code error;
  (void)acceptor_.cancel(error);
  (void)acceptor_.non_blocking(true, error);
  for (;;) {
    Tcp::socket socket = acceptor_.accept(error);
    if (error) break;
    take_in(std::move(socket));
  }
  (void)acceptor_.close(error);
}

void Connector::on_line(Player& player, const Json& line) {
  const std::string route = text_in(line, "route", 16);
  if (route == "enter") return enter(player, text_in(line, "room", 32), text_in(line, "user", 64));
  if (player.room.empty()) return player.send(R"({"route":"error","text":"enter a room first"})");
  if (route == "say") {
    return ask(&player, player.room, {{"do", "say"}, {"user", player.user}, {"text", text_in(line, "text", 2000)}});
  }
  if (route == "leave") {
    leave(player);
    return player.send(R"({"route":"leave"})");
  }
  player.send(R"({"route":"error","text":"there is enter, say and leave"})");
}

void Connector::enter(Player& player, const std::string& room, const std::string& user) {
  if (!is_room_name(room) || user.empty()) {
    return player.send(
        R"({"route":"error","text":"a room has a name of small letters, digits and -, and you have one"})");
  }
  leave(player);
  Room& here = rooms_[room];
  if (here.empty() && worker().subscribe(topic_of(room).c_str()) < 0) {
    complain(holdfast::Worker::error_text());
    rooms_.erase(room);
    return player.send(R"({"route":"error","text":"the room cannot be heard now: try again"})");
  }
  player.room = room;
  player.user = user;
  here.insert(&player);
  ask(&player, room, {{"do", "enter"}, {"user", user}});
}

void Connector::leave(Player& player) {
  const auto at = rooms_.find(std::exchange(player.room, {}));
  if (at == rooms_.end()) return;
  at->second.erase(&player);
  ask(nullptr, at->first, {{"do", "leave"}, {"user", player.user}});
  if (!at->second.empty()) return;
  (void)hf_unsubscribe(worker().get(), topic_of(at->first).c_str());
  rooms_.erase(at);
}

void Connector::on_gone(Player& player) {
  leave(player);
  Server::on_gone(player);
}

// The number of the call; 0: it cannot be made now.
std::uint64_t Connector::call(const std::string& room, Json question) {
  question["connector"] = worker().info().slot;
  const std::string text = line_of(question);
  std::uint64_t number = 0;
  if (hf_call(worker().get(), "chat", room.c_str(), text.data(), text.size(), kPatience, &number) == 0) return number;
  complain(holdfast::Worker::error_text());
  return 0;
}

// The chat server of the room is told, and answers; `player` gets the answer, if there is one.
void Connector::ask(Player* player, const std::string& room, const Json& question) {
  const std::uint64_t number = call(room, question);
  if (player == nullptr) return;
  if (number != 0) {
    asked_[number] = player->weak_from_this();
  } else {
    player->send(R"({"route":"error","text":"the room cannot be reached now: try again"})");
  }
}

void Connector::on_reply(const holdfast::Reply& reply) {
  if (told_.erase(reply.about.call) > 0 && reply.about.status != 0) {
    again_.expires_after(kPause);
    again_.async_wait([this](error_code error) {
      if (!error) tell_who_is_here();
    });
  }
  const auto at = asked_.find(reply.about.call);
  if (at == asked_.end()) return;
  const std::shared_ptr<Player> player = at->second.lock();
  asked_.erase(at);
  if (!player) return;
  if (reply.about.status == 0) return player->send(std::string(reply.text()));
  player->send(R"({"route":"error","text":"the room did not answer: try again"})");
}

// What is pushed to a room, to all who are in it here.
void Connector::on_message(const holdfast::Message& message) {
  const auto room = rooms_.find(std::string(message.topic().substr(5)));
  if (room == rooms_.end()) return;
  for (Player* player : room->second) player->send(std::string(message.text()));
}

// A chat server may be new, and knows nobody; or a room may have another one now.
void Connector::on_members() { tell_who_is_here(); }

void Connector::tell_who_is_here() {
  for (const auto& [room, players] : rooms_) {
    for (const Player* player : players) {
      if (const std::uint64_t number = call(room, {{"do", "stay"}, {"user", player->user}})) told_.insert(number);
    }
  }
}

}  // namespace game
