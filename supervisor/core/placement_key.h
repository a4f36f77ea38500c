#pragma once

#include <cstdint>
#include <string_view>

#include "core/ip_address.h"

namespace holdfast {

// How much of an address makes a client. IPv6 hosts change the lower half at will, so /64 is the default.
struct KeyPrefix {
  unsigned v4 = 32;  // 0 to 32
  unsigned v6 = 64;  // 0 to 128
  bool operator==(const KeyPrefix&) const = default;
};

// The secret that makes the mapping ours: who does not know it cannot choose addresses that all land on one slot.
// Two words because that is what a classic BPF program can carry as immediates at no cost.
struct HashKey {
  std::uint32_t a = 0;
  std::uint32_t b = 0;
  bool operator==(const HashKey&) const = default;
};

// The keyed 32-bit hash of a client's address, the same in every plane. Only 32-bit multiply, xor and shift are used, so that the
// classic BPF compiler can emit exactly this. With `mix` = the finaliser of MurmurHash3 (Austin Appleby, public domain):
//   IPv4: h = mix(a ^ word0)
//   IPv6: h = b; for each word that the prefix reaches: h = mix(h ^ word)
// where each word is masked to the prefix first, and words that the prefix does not reach take no part.
[[nodiscard]] std::uint32_t hash_address(const IpAddress& address, KeyPrefix prefix, HashKey key);

// The same for a key that is text (a cookie, a session id): the bytes in words of four, the first byte lowest, the last word
// filled with zeros:
//   h = b; for each word: h = mix(h ^ word); h = mix(h ^ a ^ length)
[[nodiscard]] std::uint32_t hash_text(std::string_view text, HashKey key);

// The mask of a word that `bits` bits of the prefix reach; a prefix may reach past the word.
[[nodiscard]] constexpr std::uint32_t prefix_mask(unsigned bits) {
  if (bits >= 32) return ~std::uint32_t{0};
  return bits == 0 ? 0 : ~std::uint32_t{0} << (32 - bits);
}

// The MurmurHash3 finaliser: every input bit changes every output bit with a probability near one half.
[[nodiscard]] constexpr std::uint32_t mix(std::uint32_t h) {
  h ^= h >> 16;
  h *= 0x85ebca6bU;
  h ^= h >> 13;
  h *= 0xc2b2ae35U;
  h ^= h >> 16;
  return h;
}

}  // namespace holdfast
