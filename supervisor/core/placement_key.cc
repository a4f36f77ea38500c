#include "core/placement_key.h"

namespace holdfast {

std::uint32_t hash_address(const IpAddress& address, KeyPrefix prefix, HashKey key) {
  if (!address.is_v6()) return mix(key.a ^ (address.word(0) & prefix_mask(prefix.v4)));

  std::uint32_t h = key.b;
  for (unsigned index = 0; index < 4 && prefix.v6 > 32 * index; ++index) {
    h = mix(h ^ (address.word(index) & prefix_mask(prefix.v6 - 32 * index)));
  }
  return h;
}

}  // namespace holdfast
