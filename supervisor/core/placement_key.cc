#include "core/placement_key.h"

namespace holdfast {
namespace {

// The mask of a word that `bits` bits of the prefix reach; a prefix may reach past the word.
constexpr std::uint32_t prefix_mask(unsigned bits) {
  if (bits >= 32) return ~std::uint32_t{0};
  return bits == 0 ? 0 : ~std::uint32_t{0} << (32 - bits);
}

}  // namespace

std::uint32_t hash_address(const IpAddress& address, KeyPrefix prefix, HashKey key) {
  if (!address.is_v6()) return mix(key.a ^ (address.word(0) & prefix_mask(prefix.v4)));

  std::uint32_t h = key.b;
  for (unsigned index = 0; index < 4 && prefix.v6 > 32 * index; ++index) {
    h = mix(h ^ (address.word(index) & prefix_mask(prefix.v6 - 32 * index)));
  }
  return h;
}

}  // namespace holdfast
