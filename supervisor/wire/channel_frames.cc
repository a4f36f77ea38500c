#include "wire/channel_frames.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>

namespace holdfast {

// The layouts of channel.h are the bytes of the wire only where numbers are little-endian.
static_assert(std::endian::native == std::endian::little, "encode and decode need byte swaps on this machine");
static_assert(sizeof(hf_frame_header) == 8 && sizeof(hf_frame_drain) == 24 && sizeof(hf_frame_hello) == 24);
static_assert(sizeof(hf_frame_number) == 16 && sizeof(hf_connection_record) == 72);
static_assert(sizeof(hf_frame_header) + HF_MAX_BATCH * sizeof(hf_connection_record) <= HF_MAX_FRAME);

namespace {

template <class T>
T read_at(std::span<const std::byte> bytes, std::size_t offset) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

Error malformed(const std::string& what) { return Error{{}, "malformed frame: " + what}; }

Result<hf_frame_header> read_header(std::span<const std::byte> bytes) {
  if (bytes.size() < sizeof(hf_frame_header))
    return malformed(std::to_string(bytes.size()) + " bytes, less than a header");
  const auto header = read_at<hf_frame_header>(bytes, 0);
  if (header.length != bytes.size()) {
    return malformed("its length says " + std::to_string(header.length) + ", the message has " +
                     std::to_string(bytes.size()));
  }
  return header;
}

}  // namespace

std::vector<std::byte> encode_connections(std::span<const ConnectionRecord> records,
                                          std::span<const std::string_view> details) {
  std::size_t length = sizeof(hf_frame_header) + records.size_bytes();
  for (const std::string_view detail : details) length += detail.size();
  std::vector<std::byte> bytes(length);
  const hf_frame_header header{HF_FRAME_CONNECTIONS, static_cast<std::uint16_t>(records.size()),
                               static_cast<std::uint32_t>(length)};
  std::memcpy(bytes.data(), &header, sizeof header);
  std::byte* at = bytes.data() + sizeof header;
  if (details.empty()) {
    if (!records.empty()) std::memcpy(at, records.data(), records.size_bytes());
    return bytes;
  }
  for (std::size_t i = 0; i < records.size(); i++) {
    std::memcpy(at, &records[i], sizeof records[i]);
    at += sizeof records[i];
    at = std::transform(details[i].begin(), details[i].end(), at, [](char c) { return static_cast<std::byte>(c); });
  }
  return bytes;
}

std::vector<std::byte> encode_drain(const DrainOrder& order) {
  const hf_frame_drain frame{{HF_FRAME_DRAIN, 0, sizeof(hf_frame_drain)},
                             static_cast<std::uint64_t>(order.deadline.time_since_epoch().count()),
                             static_cast<std::uint64_t>(order.spread.count())};
  std::vector<std::byte> bytes(sizeof frame);
  std::memcpy(bytes.data(), &frame, sizeof frame);
  return bytes;
}

Result<WorkerFrame> decode_worker_frame(std::span<const std::byte> bytes) {
  const Result<hf_frame_header> header = read_header(bytes);
  if (!header) return header.error();
  const auto number = [&]() -> Result<std::uint64_t> {
    if (bytes.size() < sizeof(hf_frame_number)) return malformed("a number is missing");
    return read_at<hf_frame_number>(bytes, 0).number;
  };
  const auto numbered = [&](auto make) -> Result<WorkerFrame> {
    const Result<std::uint64_t> value = number();
    if (!value) return value.error();
    return WorkerFrame{make(*value)};
  };
  switch (header->type) {
    case HF_FRAME_HELLO: {
      if (bytes.size() < sizeof(hf_frame_hello)) return malformed("HELLO is too short");
      const auto hello = read_at<hf_frame_hello>(bytes, 0);
      return WorkerFrame{
          HelloFrame{hello.version, (hello.flags & HF_HELLO_PAGE) != 0, (hello.flags & HF_HELLO_SOCKETS) != 0}};
    }
    case HF_FRAME_READY:
      return WorkerFrame{ReadyFrame{}};
    case HF_FRAME_TAKEN:
      return numbered([](std::uint64_t n) { return TakenFrame{n}; });
    case HF_FRAME_CLOSED:
      return numbered([](std::uint64_t n) { return ClosedFrame{n}; });
    case HF_FRAME_HEARTBEAT:
      return WorkerFrame{HeartbeatFrame{}};
    case HF_FRAME_LOST:
      return numbered([](std::uint64_t n) { return LostFrame{n}; });
    case HF_FRAME_DRAINED:
      return WorkerFrame{DrainedFrame{}};
    case HF_FRAME_ACCEPTED:
      return numbered([](std::uint64_t n) { return AcceptedFrame{n}; });
    default:
      break;
  }
  // 1 to 63 are ours to send, never a worker's: that is no newer protocol but a broken peer.
  if (header->type < HF_FRAME_HELLO) return malformed("type " + std::to_string(header->type) + " is not a worker's");
  return WorkerFrame{UnknownFrame{header->type}};
}

Result<std::vector<ConnectionRecord>> decode_connections(std::span<const std::byte> bytes) {
  const Result<hf_frame_header> header = read_header(bytes);
  if (!header) return header.error();
  std::vector<ConnectionRecord> records;
  if (header->type != HF_FRAME_CONNECTIONS) return records;
  std::size_t offset = sizeof(hf_frame_header);
  for (unsigned i = 0; i < header->count; i++) {
    if (bytes.size() - offset < sizeof(ConnectionRecord)) return malformed("a record is cut off");
    const auto record = read_at<ConnectionRecord>(bytes, offset);
    if (record.record_length < sizeof(ConnectionRecord) || record.record_length > bytes.size() - offset) {
      return malformed("a record's length is wrong");
    }
    records.push_back(record);
    offset += record.record_length;
  }
  return records;
}

std::optional<DrainOrder> decode_drain(std::span<const std::byte> bytes) {
  const Result<hf_frame_header> header = read_header(bytes);
  if (!header || header->type != HF_FRAME_DRAIN || bytes.size() < sizeof(hf_frame_drain)) return std::nullopt;
  const auto frame = read_at<hf_frame_drain>(bytes, 0);
  return DrainOrder{TimePoint(Duration(static_cast<Duration::rep>(frame.deadline_ns))),
                    Duration(static_cast<Duration::rep>(frame.spread_ns))};
}

std::vector<std::string> decode_details(std::span<const std::byte> bytes) {
  std::vector<std::string> details;
  const auto header = read_at<hf_frame_header>(bytes, 0);
  if (header.type != HF_FRAME_CONNECTIONS) return details;
  std::size_t offset = sizeof(hf_frame_header);
  for (unsigned i = 0; i < header.count; i++) {
    const std::size_t length = read_at<ConnectionRecord>(bytes, offset).record_length;
    std::string& detail = details.emplace_back(length - sizeof(ConnectionRecord), '\0');
    if (!detail.empty()) std::memcpy(detail.data(), bytes.data() + offset + sizeof(ConnectionRecord), detail.size());
    offset += length;
  }
  return details;
}

void ConnectionDetails::add(std::uint8_t type, std::string_view value) {
  constexpr std::size_t kMost = 2048;  // of all; the wire's own bounds keep a header of a sane proxy far below
  if (value.empty() || bytes_.size() + value.size() > kMost) return;
  const auto put = [this](std::size_t number) {
    bytes_ += static_cast<char>(number & 0xff);
    bytes_ += static_cast<char>(number >> 8);
  };
  put(type);
  put(value.size());
  bytes_ += value;
}

std::string ConnectionDetails::take() {
  bytes_.resize((bytes_.size() + 7) / 8 * 8, '\0');
  return std::move(bytes_);
}

}  // namespace holdfast
