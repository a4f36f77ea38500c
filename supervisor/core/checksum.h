#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace holdfast {

// A 32-bit cyclic redundancy check, lowest bit first, as Ethernet and iSCSI compute theirs. Fed in pieces: `add` as often as
// there are pieces, then `value`.
template <std::uint32_t kPolynomial>  // reversed
class Crc {
 public:
  constexpr void add(std::string_view bytes) {
    for (const char byte : bytes) state_ = kTable[(state_ ^ static_cast<std::uint8_t>(byte)) & 0xff] ^ state_ >> 8;
  }
  [[nodiscard]] constexpr std::uint32_t value() const { return ~state_; }

 private:
  static constexpr std::array<std::uint32_t, 256> kTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t byte = 0; byte < table.size(); ++byte) {
      std::uint32_t remainder = byte;
      for (int bit = 0; bit < 8; ++bit) remainder = remainder >> 1 ^ ((remainder & 1) != 0 ? kPolynomial : 0);
      table[byte] = remainder;
    }
    return table;
  }();

  std::uint32_t state_ = 0xffffffffU;
};

using Crc32 = Crc<0xedb88320U>;   // IEEE 802.3: zlib, zip, JavaScript's `crc`
using Crc32c = Crc<0x82f63b78U>;  // Castagnoli, RFC 4960 appendix B: iSCSI, SCTP, the PROXY protocol

[[nodiscard]] constexpr std::uint32_t crc32(std::string_view bytes) {
  Crc32 crc;
  crc.add(bytes);
  return crc.value();
}

[[nodiscard]] constexpr std::uint32_t crc32c(std::string_view bytes) {
  Crc32c crc;
  crc.add(bytes);
  return crc.value();
}

}  // namespace holdfast
