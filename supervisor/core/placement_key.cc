#include "core/placement_key.h"

#include <algorithm>
#include <cstddef>

namespace holdfast {

std::uint32_t hash_address(const IpAddress& address, KeyPrefix prefix, HashKey key) {
  if (!address.is_v6()) return mix(key.a ^ (address.word(0) & prefix_mask(prefix.v4)));

  std::uint32_t h = key.b;
  for (unsigned index = 0; index < 4 && prefix.v6 > 32 * index; ++index) {
    h = mix(h ^ (address.word(index) & prefix_mask(prefix.v6 - 32 * index)));
  }
  return h;
}

std::uint32_t hash_text(std::string_view text, HashKey key) {
  std::uint32_t h = key.b;
  for (std::size_t begin = 0; begin < text.size(); begin += 4) {
    std::uint32_t word = 0;
    for (std::size_t i = begin; i < std::min(begin + 4, text.size()); ++i) {
      word |= std::uint32_t{static_cast<std::uint8_t>(text[i])} << (8 * (i - begin));
    }
    h = mix(h ^ word);
  }
  return mix(h ^ key.a ^ static_cast<std::uint32_t>(text.size()));
}

}  // namespace holdfast
