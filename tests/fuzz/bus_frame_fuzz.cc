// A worker may write anything on its bus channel: whatever it is, the decoder answers, what it accepts lies within the frame and
// can be given to others, and a stamp changes nothing that was read.
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "check.h"
#include "core/topic.h"
#include "wire/bus_frames.h"

namespace {

void check_record(const holdfast::BusRecord& record, std::size_t size) {
  check(record.offset <= size && record.length <= size - record.offset);
  check(record.name.size() <= HF_BUS_MAX_NAME && record.key.size() <= HF_BUS_MAX_NAME);
  // They are read up to a NUL by whoever gets them.
  check(record.name.data()[record.name.size()] == '\0' && record.key.data()[record.key.size()] == '\0');
  check(record.is_large ? record.data.empty() : record.data.size() == record.size);
  check(record.is_large == (record.size > HF_BUS_MAX_INLINE) && record.size <= HF_BUS_MAX_MESSAGE);
  if (record.kind == HF_BUS_PUBLISH) check(holdfast::is_topic(record.name));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  const auto given = std::as_bytes(std::span(data, size));
  std::vector<std::byte> bytes(given.begin(), given.end());
  const Result<BusFrame> frame = decode_bus_frame(bytes);
  check(frame || !frame.error().message().empty());
  if (!frame) return 0;
  if (const auto* wish = std::get_if<BusSubscribe>(&*frame)) check(is_topic_pattern(wish->pattern));
  const auto* messages = std::get_if<BusMessages>(&*frame);
  if (messages == nullptr) return 0;
  std::size_t end = sizeof(hf_frame_header);
  for (const BusRecord& record : messages->records) {
    check(record.offset == end);
    end += record.length;
    check_record(record, size);
    stamp(std::span(bytes).subspan(record.offset, record.length),
          {.publisher = 1, .sequence = 2, .call = 3, .node = 4});
  }
  const Result<BusFrame> again = decode_bus_frame(bytes);
  check(again && std::get<BusMessages>(*again).records.size() == messages->records.size());
  for (std::size_t i = 0; i < messages->records.size(); i++) {
    const BusRecord& record = std::get<BusMessages>(*again).records[i];
    check(record.call == 3 && record.name == messages->records[i].name && record.size == messages->records[i].size);
  }
  return 0;
}
