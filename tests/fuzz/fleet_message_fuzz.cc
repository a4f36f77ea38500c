// Anybody who may write to our Redis can send anything: whatever it is, the decoder answers; what it accepts fits a record of the
// bus, where it is for workers, and is the same when it is written and read again.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "check.h"
#include "wire/bus_frames.h"
#include "wire/fleet_beat.h"
#include "wire/fleet_message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  const auto message = decode_fleet_message(bytes);
  if (!message) return 0;
  const std::string written = encode(*message);
  const auto again = decode_fleet_message(written);
  check(again && again->kind == message->kind && again->node == message->node && again->sequence == message->sequence);
  check(again->topic == message->topic && again->key == message->key && again->data == message->data);
  check(again->slot == message->slot && again->member == message->member && again->status == message->status);
  check(again->size == message->size && again->offset == message->offset);
  if (message->is_part()) {
    check(message->size > HF_BUS_MAX_INLINE && message->size <= HF_BUS_MAX_MESSAGE);
    check(message->offset <= message->size && message->data.size() <= message->size - message->offset);
  }
  if (message->kind == FleetMessage::Kind::Beat) {
    (void)parse_fleet_machine(message->data);
    return 0;
  }
  const auto record = encode_bus_record({HF_BUS_SEND, message->topic, message->key, message->data}, {});
  check(sizeof(hf_frame_header) + record.size() <= HF_BUS_MAX_FRAME);
  const hf_frame_header header = bus_messages_header(1, record.size());
  const auto head = std::as_bytes(std::span(&header, 1));
  std::vector<std::byte> frame(head.begin(), head.end());
  frame.insert(frame.end(), record.begin(), record.end());
  check(decode_bus_frame(frame).has_value());
  return 0;
}
