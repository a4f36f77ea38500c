#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace holdfast {

// An IPv4 or IPv6 address as its 32-bit words in host order: `ntohl` of the wire, which is also how classic BPF loads them.
// An IPv4-mapped IPv6 address (::ffff:a.b.c.d) is always held as IPv4: a client is the same client on a dual-stack listener.
class IpAddress {
 public:
  constexpr IpAddress() = default;  // 0.0.0.0
  [[nodiscard]] static constexpr IpAddress v4(std::uint32_t word) {
    IpAddress address;
    address.words_[0] = word;
    return address;
  }
  // `bytes` as on the wire. A v4-mapped address is folded to IPv4.
  [[nodiscard]] static IpAddress v6(const std::array<std::uint8_t, 16>& bytes);
  // "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1". No port, no brackets, no zone ("%eth0" is accepted and dropped).
  [[nodiscard]] static std::optional<IpAddress> parse(std::string_view text);

  [[nodiscard]] constexpr bool is_v6() const { return is_v6_; }
  [[nodiscard]] constexpr std::uint32_t word(unsigned index) const { return words_[index]; }  // v4 has word 0 only
  // 16 bytes as on the wire; IPv4 as its mapped form.
  [[nodiscard]] std::array<std::uint8_t, 16> bytes() const;
  // RFC 5952 text, IPv4 dotted.
  [[nodiscard]] std::string text() const;

  constexpr auto operator<=>(const IpAddress&) const = default;

 private:
  std::array<std::uint32_t, 4> words_{};
  bool is_v6_ = false;
};

}  // namespace holdfast
