#include "wire/fleet_message.h"

#include <holdfast/bus_channel.h>

#include <cstring>

#include "core/topic.h"

namespace holdfast {

namespace {

constexpr std::string_view kMagic = "HFB1";
constexpr std::size_t kHead = 26;
constexpr std::size_t kAddressHead = 14;
constexpr std::size_t kPartHead = 8;
constexpr unsigned kPart = 7;  // in the place of a kind

// Workers get it in a record, where NULs end the names, and a frame that is too long would cost them the others of it.
bool fits_a_record(const FleetMessage& message) {
  const auto is_name = [](std::string_view text) {
    return text.size() <= HF_BUS_MAX_NAME && text.find('\0') == std::string_view::npos;
  };
  return is_name(message.topic) && is_name(message.key) && message.data.size() <= HF_BUS_MAX_INLINE;
}

bool is_for_one(FleetMessage::Kind kind) { return kind >= FleetMessage::Kind::Send; }

bool may_be_large(FleetMessage::Kind kind) {
  return kind != FleetMessage::Kind::Beat && kind != FleetMessage::Kind::Returned;
}

bool is_within(const FleetMessage& part) {
  return part.size > HF_BUS_MAX_INLINE && part.size <= HF_BUS_MAX_MESSAGE && part.offset <= part.size &&
         part.data.size() <= part.size - part.offset;
}

template <class Number>
void append(std::string& bytes, Number number) {
  for (std::size_t i = 0; i < sizeof number; i++) bytes += static_cast<char>(number >> (8 * i) & 0xffU);
}

std::uint64_t number_at(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t number = 0;
  for (std::size_t i = 0; i < size; i++) number |= std::uint64_t{static_cast<unsigned char>(bytes[at + i])} << (8 * i);
  return number;
}

}  // namespace

std::string encode(const FleetMessage& message) {
  std::string bytes(kMagic);
  bytes.reserve(kHead + kAddressHead + kPartHead + message.topic.size() + message.key.size() + message.data.size());
  const auto kind = static_cast<std::uint32_t>(message.kind);
  append(bytes, message.is_part() ? kPart | kind << 8 : kind);
  append(bytes, message.node);
  append(bytes, message.sequence);
  append(bytes, static_cast<std::uint16_t>(message.topic.size()));
  bytes += message.topic;
  if (is_for_one(message.kind)) {
    append(bytes, message.slot);
    append(bytes, message.member);
    append(bytes, static_cast<std::uint32_t>(message.status));
    append(bytes, static_cast<std::uint16_t>(message.key.size()));
    bytes += message.key;
  }
  if (message.is_part()) {
    append(bytes, message.size);
    append(bytes, message.offset);
  }
  bytes += message.data;
  return bytes;
}

std::optional<FleetMessage> decode_fleet_message(std::string_view bytes) {
  if (bytes.size() < kHead || !bytes.starts_with(kMagic)) return std::nullopt;
  FleetMessage message;
  const bool is_part = static_cast<unsigned char>(bytes[4]) == kPart;
  const auto kind = static_cast<unsigned char>(bytes[is_part ? 5 : 4]);
  if (kind < 1 || kind > 6) return std::nullopt;
  message.kind = static_cast<FleetMessage::Kind>(kind);
  message.node = number_at(bytes, 8, 8);
  message.sequence = number_at(bytes, 16, 8);
  const std::size_t topic = number_at(bytes, 24, 2);
  if (bytes.size() - kHead < topic) return std::nullopt;
  message.topic = bytes.substr(kHead, topic);
  message.data = bytes.substr(kHead + topic);
  if (is_for_one(message.kind)) {
    const std::string_view rest = message.data;
    if (rest.size() < kAddressHead) return std::nullopt;
    message.slot = static_cast<std::uint32_t>(number_at(rest, 0, 4));
    message.member = static_cast<std::uint32_t>(number_at(rest, 4, 4));
    message.status = static_cast<std::int32_t>(number_at(rest, 8, 4));
    const std::size_t key = number_at(rest, 12, 2);
    if (rest.size() - kAddressHead < key) return std::nullopt;
    message.key = rest.substr(kAddressHead, key);
    message.data = rest.substr(kAddressHead + key);
  }
  if (is_part) {
    const std::string_view rest = message.data;
    if (rest.size() < kPartHead) return std::nullopt;
    message.size = static_cast<std::uint32_t>(number_at(rest, 0, 4));
    message.offset = static_cast<std::uint32_t>(number_at(rest, 4, 4));
    message.data = rest.substr(kPartHead);
    if (!may_be_large(message.kind) || !is_within(message)) return std::nullopt;
  }
  if (message.kind == FleetMessage::Kind::Beat) return message;
  if (message.kind == FleetMessage::Kind::Message && !is_topic(message.topic)) return std::nullopt;
  return fits_a_record(message) ? std::optional(message) : std::nullopt;
}

}  // namespace holdfast
