// A client of the control socket may send anything: whatever it is, the decoder answers, and what it understood
// survives being written and read again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "wire/control_message.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace holdfast;
  const std::string line(data, data + size);
  const auto decoded = decode_request(line);
  if (const auto* const request = std::get_if<ControlRequest>(&decoded)) {
    const std::string text = encode(*request);
    const auto again = decode_request(std::string_view(text).substr(0, text.size() - 1));
    const auto* const same = std::get_if<ControlRequest>(&again);
    if (same == nullptr || *same != *request) std::abort();
  } else if (encode(ControlResponse{std::get<ControlFailure>(decoded)}).back() != '\n') {
    std::abort();
  }
  (void)decode_response(line);
  return 0;
}
