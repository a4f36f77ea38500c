#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "wire/saved_state.h"

// Whatever the bytes: there is an answer, and what was understood is written and understood again as the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const holdfast::Result<holdfast::SavedState> state = holdfast::decode_saved_state(text);
  if (!state) return 0;
  const std::string written = holdfast::encode(*state);
  const holdfast::Result<holdfast::SavedState> again = holdfast::decode_saved_state(written);
  if (!again || holdfast::encode(*again) != written) std::abort();
  return 0;
}
