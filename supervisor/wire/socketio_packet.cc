#include "wire/socketio_packet.h"

#include <cstdint>
#include <utility>
#include <vector>

#include "wire/json_members.h"

namespace holdfast {

namespace {

constexpr std::string_view kKey = "socket.io";
constexpr std::string_view kSender = "emitter";  // what @socket.io/redis-emitter calls itself; no server has this name
constexpr int kEvent = 2;                        // a packet's type

}  // namespace

Result<SocketioPacket> socketio_packet(const SocketioEvent& event) {
  if (!event.name_space.starts_with('/')) {
    return Error{{}, "'" + std::string(event.name_space) + "' is no namespace of Socket.IO: those begin with '/'"};
  }
  if (event.event.empty()) return Error{{}, "the event has no name"};
  Json data = Json::array({event.event});
  if (!event.json.empty()) {
    Json argument = parse_json(event.json);
    if (argument.is_discarded())
      return Error{{}, "'" + std::string(event.json) + "' is not JSON: a text stands in quotes"};
    data.push_back(std::move(argument));
  }
  Json rooms = Json::array();
  if (!event.room.empty()) rooms.push_back(event.room);
  const Json packet = {{"type", kEvent}, {"data", std::move(data)}, {"nsp", event.name_space}};
  const Json options = {{"rooms", std::move(rooms)}, {"except", Json::array()}, {"flags", Json::object()}};
  const std::vector<std::uint8_t> bytes = Json::to_msgpack(Json::array({kSender, packet, options}));
  SocketioPacket made{std::string(kKey) + "#" + std::string(event.name_space) + "#", {bytes.begin(), bytes.end()}};
  // Who is in one room alone is asked for by the channel.
  if (!event.room.empty()) made.channel += std::string(event.room) + "#";
  return made;
}

}  // namespace holdfast
