#pragma once

#include <holdfast/channel.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "core/result.h"
#include "core/time.h"

namespace holdfast {

// The frames of the worker channel as values (bytes: <holdfast/channel.h>, described in worker-sdk/PROTOCOL.md).

using ConnectionRecord = hf_connection_record;

// A CONNECTIONS frame for at most HF_MAX_BATCH records.
[[nodiscard]] std::vector<std::byte> encode_connections(std::span<const ConnectionRecord> records);
[[nodiscard]] std::vector<std::byte> encode_drain(TimePoint deadline);

// What a worker says.
struct HelloFrame {
  std::uint32_t version;
  bool uses_page;
  bool serves_sockets;  // accepts by itself from the sockets of its slot
};
struct ReadyFrame {};
struct TakenFrame {
  std::uint64_t connections;
};
struct ClosedFrame {
  std::uint64_t connections;
};
struct HeartbeatFrame {};
struct LostFrame {
  std::uint64_t descriptors;
};
struct DrainedFrame {};
struct AcceptedFrame {
  std::uint64_t connections;
};
struct UnknownFrame {
  unsigned type;
};  // from a newer SDK: ignored
using WorkerFrame = std::variant<HelloFrame, ReadyFrame, TakenFrame, ClosedFrame, HeartbeatFrame, LostFrame,
                                 DrainedFrame, AcceptedFrame, UnknownFrame>;
// Anything that is no well-formed frame is an error: the sender is broken.
[[nodiscard]] Result<WorkerFrame> decode_worker_frame(std::span<const std::byte> bytes);

// What the supervisor reads back from a worker's end: its own CONNECTIONS frames. Any other frame gives no records.
[[nodiscard]] Result<std::vector<ConnectionRecord>> decode_connections(std::span<const std::byte> bytes);
// The deadline of a DRAIN frame; nothing for any other.
[[nodiscard]] std::optional<TimePoint> decode_drain(std::span<const std::byte> bytes);

}  // namespace holdfast
