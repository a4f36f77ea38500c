#pragma once

#include <holdfast/channel.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/result.h"
#include "core/time.h"

namespace holdfast {

// The frames of the worker channel as values (bytes: <holdfast/channel.h>, described in worker-sdk/PROTOCOL.md).

using ConnectionRecord = hf_connection_record;

// A CONNECTIONS frame for at most HF_MAX_BATCH records and HF_MAX_FRAME bytes. `details`: of each record, or none at all; what
// stands behind it (ConnectionDetails), so many bytes as its record_length says.
[[nodiscard]] std::vector<std::byte> encode_connections(std::span<const ConnectionRecord> records,
                                                        std::span<const std::string_view> details = {});
// A worker is to finish what it has.
struct DrainOrder {
  TimePoint deadline;  // when it will be ended
  Duration spread{};   // over which it is to close its connections; zero: as soon as it can
};
[[nodiscard]] std::vector<std::byte> encode_drain(const DrainOrder& order);

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
// What a DRAIN frame says; nothing for any other.
[[nodiscard]] std::optional<DrainOrder> decode_drain(std::span<const std::byte> bytes);
// What stands behind each of those records; `bytes` have been decoded without an error.
[[nodiscard]] std::vector<std::string> decode_details(std::span<const std::byte> bytes);

// What a PROXY header tells of a connection beside its addresses, as it stands behind the connection's record: for each a type
// (2 bytes, that of the PROXY protocol), a length (2 bytes) and the value; at the end zeros up to a multiple of 8.
class ConnectionDetails {
 public:
  void add(std::uint8_t type,
           std::string_view value);  // nothing if the value is empty, or longer than a frame has room for
  [[nodiscard]] std::string take();

 private:
  std::string bytes_;
};

}  // namespace holdfast
