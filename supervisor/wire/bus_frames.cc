#include "wire/bus_frames.h"

#include <algorithm>
#include <cstring>
#include <optional>

#include "core/topic.h"

namespace holdfast {

namespace {

using Bytes = std::span<const std::byte>;

std::size_t padded(std::size_t size) { return (size + 7) & ~std::size_t{7}; }

template <class T>
std::optional<T> read(Bytes bytes, std::size_t offset = 0) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (bytes.size() < offset || bytes.size() - offset < sizeof(T)) return std::nullopt;
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof value);
  return value;
}

template <class T>
void append(std::vector<std::byte>& bytes, const T& value) {
  const auto raw = std::as_bytes(std::span(&value, 1));
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

void append_text(std::vector<std::byte>& bytes, std::string_view text) {
  const auto raw = std::as_bytes(std::span(text));
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

void pad(std::vector<std::byte>& bytes) { bytes.resize(padded(bytes.size())); }

Error broken(const char* what) { return Error{{}, std::string("a frame of the bus: ") + what}; }

std::string_view text_at(Bytes bytes, std::size_t offset, std::size_t length) {
  return {reinterpret_cast<const char*>(bytes.data()) + offset, length};
}

Result<BusRecord> decode_record(Bytes frame, std::size_t offset) {
  const auto raw = read<hf_bus_record>(frame, offset);
  if (!raw) return broken("a record is cut off");
  BusRecord record;
  record.kind = raw->kind;
  record.is_large = (raw->flags & HF_BUS_LARGE) != 0;
  record.offset = offset;
  record.length = raw->length;
  record.size = raw->size;
  record.status = raw->status;
  record.call = raw->call;
  if (raw->name_length > HF_BUS_MAX_NAME || raw->key_length > HF_BUS_MAX_NAME) return broken("a name is too long");
  const std::size_t names = sizeof *raw + padded(raw->name_length + raw->key_length + 2U);
  const std::size_t data = record.is_large ? 0 : padded(raw->size);
  const bool size_fits = (raw->size > HF_BUS_MAX_INLINE) == record.is_large && raw->size <= HF_BUS_MAX_MESSAGE;
  if (!size_fits || raw->length % 8 != 0 || raw->length > frame.size() - offset || raw->length < names + data) {
    return broken("the length of a record is wrong");
  }
  record.name = text_at(frame, offset + sizeof *raw, raw->name_length);
  record.key = text_at(frame, offset + sizeof *raw + raw->name_length + 1U, raw->key_length);
  // The NULs behind both are read as their ends by the worker that gets it.
  const bool ended = record.name.data()[raw->name_length] == '\0' && record.key.data()[raw->key_length] == '\0';
  if (!ended || record.name.find('\0') != std::string_view::npos || record.key.find('\0') != std::string_view::npos) {
    return broken("a name has no end");
  }
  if (!record.is_large) record.data = frame.subspan(offset + names, raw->size);
  return record;
}

Result<std::string_view> decode_pattern(Bytes frame) {
  const std::string_view pattern =
      text_at(frame, sizeof(hf_bus_subscription), frame.size() - sizeof(hf_bus_subscription));
  if (!is_topic_pattern(pattern)) return broken("a subscription is to no pattern");
  return pattern;
}

}  // namespace

Result<std::vector<BusRecord>> decode_bus_records(Bytes frame) {
  const auto header = read<hf_frame_header>(frame);
  if (!header) return broken("it is too short");
  std::vector<BusRecord> records;
  records.reserve(header->count);
  std::size_t offset = sizeof *header;
  for (unsigned i = 0; i < header->count; i++) {
    Result<BusRecord> record = decode_record(frame, offset);
    if (!record) return std::move(record).error();
    offset += record->length;
    records.push_back(*record);
  }
  return records;
}

Result<BusFrame> decode_bus_frame(Bytes frame) {
  const auto header = read<hf_frame_header>(frame);
  if (!header || header->length != frame.size()) return broken("its length is not the length of the message");
  switch (header->type) {
    case HF_BUS_JOIN: {
      const auto join = read<hf_bus_join>(frame);
      if (!join) return broken("a JOIN is too short");
      return BusFrame(BusJoin{join->version});
    }
    case HF_BUS_MESSAGES: {
      Result<std::vector<BusRecord>> records = decode_bus_records(frame);
      if (!records) return std::move(records).error();
      for (const BusRecord& record : *records) {
        if (record.kind == HF_BUS_PUBLISH && !is_topic(record.name)) return broken("a topic is none");
      }
      return BusFrame(BusMessages{*std::move(records)});
    }
    case HF_BUS_SUBSCRIBE:
    case HF_BUS_UNSUBSCRIBE: {
      const auto subscription = read<hf_bus_subscription>(frame);
      if (!subscription) return broken("a subscription is too short");
      const Result<std::string_view> pattern = decode_pattern(frame);
      if (!pattern) return pattern.error();
      if (header->type == HF_BUS_SUBSCRIBE) return BusFrame(BusSubscribe{*pattern, subscription->after});
      return BusFrame(BusUnsubscribe{*pattern});
    }
    default:
      return BusFrame(BusUnknown{header->type});
  }
}

void stamp(std::span<std::byte> record, const BusStamp& stamp) {
  const auto put = [&](std::size_t offset, const auto& value) {
    std::memcpy(record.data() + offset, &value, sizeof value);
  };
  put(offsetof(hf_bus_record, publisher), stamp.publisher);
  put(offsetof(hf_bus_record, status), stamp.status);
  put(offsetof(hf_bus_record, sequence), stamp.sequence);
  put(offsetof(hf_bus_record, call), stamp.call);
  put(offsetof(hf_bus_record, node), stamp.node);
}

std::vector<std::byte> encode_bus_record(const BusContent& content, const BusStamp& stamp) {
  hf_bus_record record{};
  record.kind = content.kind;
  record.name_length = static_cast<std::uint16_t>(content.name.size());
  record.key_length = static_cast<std::uint16_t>(content.key.size());
  record.flags = content.large_size > 0 ? HF_BUS_LARGE : 0;
  record.size = content.large_size > 0 ? content.large_size : static_cast<std::uint32_t>(content.data.size());
  const std::size_t names = padded(content.name.size() + content.key.size() + 2);
  record.length = static_cast<std::uint32_t>(sizeof record + names + padded(content.data.size()));
  std::vector<std::byte> bytes;
  bytes.reserve(record.length);
  append(bytes, record);
  append_text(bytes, content.name);
  bytes.push_back(std::byte{0});
  append_text(bytes, content.key);
  bytes.push_back(std::byte{0});
  pad(bytes);
  append_text(bytes, content.data);
  pad(bytes);
  holdfast::stamp(bytes, stamp);
  return bytes;
}

hf_frame_header bus_messages_header(std::size_t records, std::size_t bytes_of_records) {
  return {HF_BUS_MESSAGES, static_cast<std::uint16_t>(records),
          static_cast<std::uint32_t>(sizeof(hf_frame_header) + bytes_of_records)};
}

std::vector<std::byte> encode_bus_welcome(std::uint32_t member, std::uint64_t node, std::uint64_t sequence) {
  const hf_bus_welcome welcome{{HF_BUS_WELCOME, 0, sizeof welcome}, member, 0, node, sequence};
  std::vector<std::byte> bytes;
  append(bytes, welcome);
  return bytes;
}

std::vector<std::byte> encode_bus_dropped(std::uint64_t messages) {
  const hf_frame_number dropped{{HF_BUS_DROPPED, 0, sizeof dropped}, messages};
  std::vector<std::byte> bytes;
  append(bytes, dropped);
  return bytes;
}

std::vector<std::vector<std::byte>> encode_bus_members(const std::vector<BusPool>& pools) {
  // A pool of 256 slots with the longest name has less than 350 bytes: so many fit into a frame.
  constexpr std::size_t kPoolsInFrame = 200;
  std::vector<std::vector<std::byte>> frames;
  for (std::size_t first = 0; first < pools.size(); first += kPoolsInFrame) {
    const std::size_t last = std::min(first + kPoolsInFrame, pools.size());
    std::vector<std::byte> bytes(sizeof(hf_frame_header));
    for (std::size_t i = first; i < last; i++) {
      const BusPool& pool = pools[i];
      const std::size_t bits = padded((pool.serving.size() + 7) / 8);
      hf_bus_pool head{};
      head.name_length = static_cast<std::uint16_t>(pool.name.size());
      head.slots = static_cast<std::uint16_t>(pool.serving.size());
      head.node = pool.node;
      head.more = i + 1 < pools.size() ? 1 : 0;
      head.length = static_cast<std::uint32_t>(sizeof head + padded(pool.name.size() + 1) + bits);
      append(bytes, head);
      append_text(bytes, pool.name);
      bytes.push_back(std::byte{0});
      pad(bytes);
      const std::size_t at = bytes.size();
      bytes.resize(at + bits);
      for (std::size_t slot = 0; slot < pool.serving.size(); slot++) {
        if (pool.serving[slot]) bytes[at + slot / 8] |= static_cast<std::byte>(1U << (slot % 8));
      }
    }
    const hf_frame_header header{HF_BUS_MEMBERS, static_cast<std::uint16_t>(last - first),
                                 static_cast<std::uint32_t>(bytes.size())};
    std::memcpy(bytes.data(), &header, sizeof header);
    frames.push_back(std::move(bytes));
  }
  return frames;
}

}  // namespace holdfast
