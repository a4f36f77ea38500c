#include "gate.h"

#include <boost/crc.hpp>
#include <cstdlib>
#include <utility>

namespace game {

std::size_t dispatch(std::string_view user, std::size_t count) {
  boost::crc_32_type crc;
  crc.process_bytes(user.data(), user.size());
  return static_cast<std::size_t>(std::llabs(static_cast<std::int32_t>(crc.checksum()))) % count;
}

Gate::Gate(boost::asio::io_context& context, holdfast::Worker& worker, std::string host, std::uint16_t port)
    : Server(context, worker), host_(std::move(host)), port_(port) {}

void Gate::on_members() { connectors_ = serving("connector"); }

void Gate::on_line(Player& player, const Json& line) {
  player.user = text_in(line, "user", 64);
  answer(player);
  player.close_after_last();
}

void Gate::answer(Player& player) {
  if (player.user.empty()) return player.send(R"({"code":400,"text":"say who you are: {\"user\":\"NAME\"}"})");
  if (connectors_.empty()) return player.send(R"({"code":503,"text":"no connector serves now: ask again"})");
  const unsigned slot = connectors_[dispatch(player.user, connectors_.size())];
  player.send(line_of({{"code", 200}, {"host", host_}, {"port", port_ + slot}}));
}

}  // namespace game
