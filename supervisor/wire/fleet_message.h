#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

// What supervisors tell each other through Redis. The numbers are little-endian:
//   "HFB1", kind (1 byte), 3 zeros, node (8), sequence (8), length of the topic (2), topic, data to the end
// Kind 1: a message, published under the topic. Kind 2: a beat: the sender lives, `sequence` is that of its last message, and data is
// what it says of itself (JSON).
struct FleetMessage {
  enum class Kind : std::uint8_t { Message = 1, Beat = 2 };
  Kind kind = Kind::Message;
  std::uint64_t node = 0;
  std::uint64_t sequence = 0;
  std::string_view topic = {};
  std::string_view data = {};
};

[[nodiscard]] std::string encode(const FleetMessage& message);
// Views of `bytes`. Nothing: that is none, or of a kind that is newer than we are.
[[nodiscard]] std::optional<FleetMessage> decode_fleet_message(std::string_view bytes);

}  // namespace holdfast
