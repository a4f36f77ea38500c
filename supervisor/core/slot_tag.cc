#include "core/slot_tag.h"

#include <charconv>
#include <cstddef>
#include <cstdint>
#include <system_error>

#include "core/bucket_table.h"

namespace holdfast {

std::string tagged_id(std::string_view id, SlotId slot) { return std::string(id) + '~' + std::to_string(slot.value); }

std::optional<SlotId> slot_of_tag(std::string_view tagged) {
  const std::size_t mark = tagged.rfind('~');
  if (mark == std::string_view::npos) return std::nullopt;
  const std::string_view digits = tagged.substr(mark + 1);
  std::uint32_t slot = 0;
  const char* const end = digits.data() + digits.size();
  const auto [rest, code] = std::from_chars(digits.data(), end, slot);
  if (code != std::errc{} || rest != end || slot >= kMaxSlots) return std::nullopt;
  return SlotId(slot);
}

}  // namespace holdfast
