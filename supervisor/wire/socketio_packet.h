#pragma once

#include <string>
#include <string_view>

#include "core/result.h"

namespace holdfast {

// An event for the clients of Socket.IO servers whose adapter is @socket.io/redis-adapter: what that adapter publishes to tell the other
// servers, with its default key, so that every one of them hands it to its clients.
struct SocketioEvent {
  std::string_view name_space = "/";
  std::string_view room = {};  // empty: everybody in the namespace
  std::string_view event = {};
  std::string_view json = {};  // its argument; empty: none
};
struct SocketioPacket {
  std::string channel;  // of Redis
  std::string payload;  // msgpack
};
[[nodiscard]] Result<SocketioPacket> socketio_packet(const SocketioEvent& event);

}  // namespace holdfast
