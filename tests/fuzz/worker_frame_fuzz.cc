// A worker may write anything on its channel, and what is read back from its end has been in its reach: whatever it is,
// the decoders answer, and records that were understood survive being written and read again.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "check.h"
#include "wire/channel_frames.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  const Result<WorkerFrame> frame = decode_worker_frame(bytes);
  check(frame || !frame.error().message().empty());

  Result<std::vector<ConnectionRecord>> records = decode_connections(bytes);
  if (!records) return 0;
  check(records->size() * sizeof(ConnectionRecord) <= size);
  if (!records->empty()) check(!frame);  // no frame is both ours and a worker's
  // What a longer record had more is not kept: written again, each has our length.
  for (ConnectionRecord& record : *records) record.record_length = sizeof record;
  const Result<std::vector<ConnectionRecord>> again = decode_connections(encode_connections(*records));
  check(again && again->size() == records->size());
  check(records->empty() ||
        std::memcmp(again->data(), records->data(), records->size() * sizeof(ConnectionRecord)) == 0);
  return 0;
}
