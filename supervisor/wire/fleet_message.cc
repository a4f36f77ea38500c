#include "wire/fleet_message.h"

#include <cstring>

#include "core/topic.h"

namespace holdfast {

namespace {

constexpr std::string_view kMagic = "HFB1";
constexpr std::size_t kHead = 26;

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
  bytes.reserve(kHead + message.topic.size() + message.data.size());
  append(bytes, static_cast<std::uint32_t>(message.kind));
  append(bytes, message.node);
  append(bytes, message.sequence);
  append(bytes, static_cast<std::uint16_t>(message.topic.size()));
  bytes += message.topic;
  bytes += message.data;
  return bytes;
}

std::optional<FleetMessage> decode_fleet_message(std::string_view bytes) {
  if (bytes.size() < kHead || !bytes.starts_with(kMagic)) return std::nullopt;
  FleetMessage message;
  const auto kind = static_cast<unsigned char>(bytes[4]);
  if (kind != 1 && kind != 2) return std::nullopt;
  message.kind = static_cast<FleetMessage::Kind>(kind);
  message.node = number_at(bytes, 8, 8);
  message.sequence = number_at(bytes, 16, 8);
  const std::size_t topic = number_at(bytes, 24, 2);
  if (bytes.size() - kHead < topic) return std::nullopt;
  message.topic = bytes.substr(kHead, topic);
  message.data = bytes.substr(kHead + topic);
  if (message.kind == FleetMessage::Kind::Message && !is_topic(message.topic)) return std::nullopt;
  return message;
}

}  // namespace holdfast
