#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "server.h"

namespace game {

// The server that every player meets first, and only once. {"user":"ann"} is answered with the connector that serves this user, chosen
// as Pomelo's dispatcher does: abs(crc32(user)) mod number of connectors. Which there are it knows from the supervisor.
class Gate : public Server {
 public:
  // `host` and `port`: of the first connector, as players see it; the next ones have the next ports.
  Gate(boost::asio::io_context& context, holdfast::Worker& worker, std::string host, std::uint16_t port);
  void on_line(Player& player, const Json& line) override;

 protected:
  void on_members() override;

 private:
  void answer(Player& player);

  std::string host_;
  std::uint16_t port_;
  std::vector<unsigned> connectors_;
};

// Which of `count` servers has the user, as Pomelo finds it.
[[nodiscard]] std::size_t dispatch(std::string_view user, std::size_t count);

}  // namespace game
