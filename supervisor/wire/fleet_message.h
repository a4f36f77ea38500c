#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

// What supervisors tell each other through Redis. The numbers are little-endian:
//   "HFB1", kind (1 byte), 3 zeros, node (8), sequence (8), length of the topic (2), topic, data to the end
// Message: published under the topic. Beat: the sender lives, `sequence` is that of its last message, and data is what it says of
// itself (wire/fleet_beat.h).
//
// The others are for one machine, for a worker of it, and have before their data
//   slot (4), member (4), status (4), length of the key (2), key
// Send: to the slot of the pool `topic`, from the worker `member` there. Call: the same with a number, `sequence`, by which an answer
// is wanted within `status` milliseconds. Reply: to the call `sequence`; `status` is 0, or a negative errno where there is none.
// Returned: what `member` sent has reached nobody, and why; `sequence` is its own number.
//
// What has more than HF_BUS_MAX_INLINE bytes (Message, Send, Call, Reply) goes in parts, so that nobody stands behind one for long, one
// after the other: kind 7 and that of the whole in the byte behind it; the same as above, and before their data
//   size of the whole (4), where this part begins in it (4)
struct FleetMessage {
  enum class Kind : std::uint8_t { Message = 1, Beat = 2, Send = 3, Call = 4, Reply = 5, Returned = 6 };
  Kind kind = Kind::Message;
  std::uint64_t node = 0;
  std::uint64_t sequence = 0;
  std::string_view topic = {};
  std::string_view data = {};
  std::string_view key = {};
  std::uint32_t slot = 0;
  std::uint32_t member = 0;
  std::int32_t status = 0;
  std::uint32_t size = 0;    // of the whole, where this is a part of it: its data begins at `offset`
  std::uint32_t offset = 0;  // 0 where it is none
  [[nodiscard]] bool is_part() const { return size > 0; }
};

[[nodiscard]] std::string encode(const FleetMessage& message);
// Views of `bytes`. Nothing: that is none, or of a kind that is newer than we are, or a worker could not be given it: anybody can
// write to our Redis.
[[nodiscard]] std::optional<FleetMessage> decode_fleet_message(std::string_view bytes);

}  // namespace holdfast
