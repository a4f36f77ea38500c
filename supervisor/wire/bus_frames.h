#pragma once

#include <holdfast/bus_channel.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/result.h"

namespace holdfast {

// The frames of the bus as values (bytes: <holdfast/bus_channel.h>, described in worker-sdk/PROTOCOL.md).

// One message within a frame. The texts and the data are views of the frame.
struct BusRecord {
  std::uint16_t kind = 0;      // HF_BUS_PUBLISH ...
  bool is_large = false;       // its data is in a memfd
  std::size_t offset = 0;      // of the whole record in the frame
  std::size_t length = 0;      // of the whole record
  std::string_view name = {};  // topic or pool
  std::string_view key = {};
  std::span<const std::byte> data = {};  // empty for a large one
  std::uint32_t size = 0;
  std::int32_t status = 0;
  std::uint64_t call = 0;
};

// What a worker says.
struct BusJoin {
  std::uint32_t version;
};
struct BusMessages {
  std::vector<BusRecord> records;
};
struct BusSubscribe {
  std::string_view pattern;
  std::uint64_t after;  // HF_BUS_ONLY_NEW: nothing that is kept
};
struct BusUnsubscribe {
  std::string_view pattern;
};
struct BusUnknown {
  unsigned type;
};  // from a newer SDK: ignored
using BusFrame = std::variant<BusJoin, BusMessages, BusSubscribe, BusUnsubscribe, BusUnknown>;
// Anything that is no well-formed frame is an error: the sender is broken. `bytes` must outlive the answer.
[[nodiscard]] Result<BusFrame> decode_bus_frame(std::span<const std::byte> bytes);
// The records of a frame, whoever made it.
[[nodiscard]] Result<std::vector<BusRecord>> decode_bus_records(std::span<const std::byte> frame);

// What the supervisor writes into a record before it is forwarded.
struct BusStamp {
  std::uint32_t publisher = 0;
  std::int32_t status = 0;
  std::uint64_t sequence = 0;
  std::uint64_t call = 0;
  std::uint64_t node = 0;
};
void stamp(std::span<std::byte> record, const BusStamp& stamp);

// A record of our own; `data` of at most HF_BUS_MAX_INLINE bytes, or none and `large_size` for what is in a memfd.
struct BusContent {
  std::uint16_t kind = HF_BUS_PUBLISH;
  std::string_view name = {};
  std::string_view key = {};
  std::string_view data = {};
  std::uint32_t large_size = 0;
};
[[nodiscard]] std::vector<std::byte> encode_bus_record(const BusContent& content, const BusStamp& stamp);
// The header of a frame whose records are sent behind it.
[[nodiscard]] hf_frame_header bus_messages_header(std::size_t records, std::size_t bytes_of_records);

[[nodiscard]] std::vector<std::byte> encode_bus_welcome(std::uint32_t member, std::uint64_t node,
                                                        std::uint64_t sequence);
[[nodiscard]] std::vector<std::byte> encode_bus_dropped(std::uint64_t messages);

// Who is in a pool.
struct BusPool {
  std::string name;
  std::uint64_t node = 0;     // 0: this machine
  std::vector<bool> serving;  // for each slot
  bool is_shared = false;     // with other machines; workers are not told
  bool operator==(const BusPool&) const = default;
};
// As many frames as it takes.
[[nodiscard]] std::vector<std::vector<std::byte>> encode_bus_members(const std::vector<BusPool>& pools);

}  // namespace holdfast
