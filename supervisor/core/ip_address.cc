#include "core/ip_address.h"

#include <algorithm>
#include <charconv>
#include <cstddef>

namespace holdfast {
namespace {

constexpr std::size_t kGroups = 8;  // of 16 bits, as the text form of IPv6 writes them
using Groups = std::array<std::uint16_t, kGroups>;

constexpr std::uint32_t kMappedWord = 0xffff;  // word 2 of ::ffff:a.b.c.d

// The whole of `digits` as a number, which from_chars alone does not ask for.
std::optional<unsigned> parse_number(std::string_view digits, std::size_t longest, int base) {
  unsigned number = 0;
  if (digits.empty() || digits.size() > longest) return std::nullopt;
  const char* const end = digits.data() + digits.size();
  const auto [rest, code] = std::from_chars(digits.data(), end, number, base);
  if (code != std::errc{} || rest != end) return std::nullopt;
  return number;
}

// Four decimal numbers. A leading zero is refused: some programs read it as octal, and two readings of one address are
// one too many.
std::optional<std::uint32_t> parse_v4(std::string_view text) {
  std::uint32_t word = 0;
  for (int part = 0; part < 4; ++part) {
    const std::size_t end = part == 3 ? text.size() : text.find('.');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view digits = text.substr(0, end);
    const std::optional<unsigned> number = parse_number(digits, 3, 10);
    if (!number || *number > 255 || (digits.size() > 1 && digits.front() == '0')) return std::nullopt;
    word = word << 8 | *number;
    text.remove_prefix(part == 3 ? end : end + 1);
  }
  return word;
}

// RFC 4291, 2.2: eight groups of one to four hexadecimal digits, "::" once for one group of zeros or more, and the last
// two groups perhaps as a dotted IPv4 address.
std::optional<Groups> parse_v6(std::string_view text) {
  Groups groups{};
  std::size_t count = 0;
  std::optional<std::size_t> gap;  // "::" stood before this group
  if (text.starts_with("::")) {
    gap = 0;
    text.remove_prefix(2);
  }
  while (!text.empty()) {
    const std::size_t end = text.find(':');
    const bool last = end == std::string_view::npos;
    if (last && text.find('.') != std::string_view::npos) {
      const std::optional<std::uint32_t> word = parse_v4(text);
      if (!word || count > kGroups - 2) return std::nullopt;
      groups[count++] = static_cast<std::uint16_t>(*word >> 16);
      groups[count++] = static_cast<std::uint16_t>(*word & 0xffff);
      break;
    }
    const std::optional<unsigned> group = parse_number(text.substr(0, end), 4, 16);
    if (!group || count == kGroups) return std::nullopt;
    groups[count++] = static_cast<std::uint16_t>(*group);
    if (last) break;
    text.remove_prefix(end + 1);
    if (text.empty()) return std::nullopt;  // a single colon at the end
    if (text.front() != ':') continue;
    if (gap) return std::nullopt;
    gap = count;
    text.remove_prefix(1);
  }
  if (gap ? count == kGroups : count != kGroups) return std::nullopt;
  if (gap) std::rotate(groups.begin() + *gap, groups.begin() + count, groups.end());
  return groups;
}

struct ZeroRun {
  std::size_t begin = 0;
  std::size_t length = 0;
};

// What RFC 5952, 4.2 writes as "::": the longest run of zero groups, the first of equal ones, and never a single group.
ZeroRun longest_zero_run(const Groups& groups) {
  ZeroRun longest;
  for (std::size_t begin = 0; begin < kGroups; ++begin) {
    std::size_t end = begin;
    while (end < kGroups && groups[end] == 0) ++end;
    if (end - begin > longest.length) longest = ZeroRun{begin, end - begin};
  }
  return longest.length >= 2 ? longest : ZeroRun{};
}

void append_number(std::string& text, unsigned number, int base) {
  std::array<char, 8> digits;
  const std::to_chars_result written = std::to_chars(digits.data(), digits.data() + digits.size(), number, base);
  text.append(digits.data(), written.ptr);
}

std::string v4_text(std::uint32_t word) {
  std::string text;
  for (unsigned shift = 32; shift != 0; shift -= 8) {
    if (!text.empty()) text += '.';
    append_number(text, word >> (shift - 8) & 0xff, 10);
  }
  return text;
}

std::string v6_text(const Groups& groups) {
  const ZeroRun zeros = longest_zero_run(groups);
  std::string text;
  for (std::size_t group = 0; group < kGroups;) {
    if (zeros.length != 0 && group == zeros.begin) {
      text += "::";
      group += zeros.length;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    append_number(text, groups[group++], 16);
  }
  return text;
}

}  // namespace

IpAddress IpAddress::v6(const std::array<std::uint8_t, 16>& bytes) {
  IpAddress address;
  address.is_v6_ = true;
  for (std::size_t i = 0; i < bytes.size(); ++i) address.words_[i / 4] = address.words_[i / 4] << 8 | bytes[i];
  const auto& words = address.words_;
  return words[0] == 0 && words[1] == 0 && words[2] == kMappedWord ? v4(words[3]) : address;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  if (text.find(':') == std::string_view::npos) {
    const std::optional<std::uint32_t> word = parse_v4(text);
    return word ? std::optional(v4(*word)) : std::nullopt;
  }
  const std::size_t zone = text.find('%');
  if (zone == text.size() - 1) return std::nullopt;  // '%' names nothing
  const std::optional<Groups> groups = parse_v6(text.substr(0, zone));
  if (!groups) return std::nullopt;
  std::array<std::uint8_t, 16> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const unsigned group = (*groups)[i / 2];
    bytes[i] = static_cast<std::uint8_t>(i % 2 == 0 ? group >> 8 : group & 0xff);
  }
  return v6(bytes);
}

std::array<std::uint8_t, 16> IpAddress::bytes() const {
  const std::array<std::uint32_t, 4> words =
      is_v6_ ? words_ : std::array<std::uint32_t, 4>{0, 0, kMappedWord, words_[0]};
  std::array<std::uint8_t, 16> bytes;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::uint8_t>(words[i / 4] >> (24 - 8 * (i % 4)) & 0xff);
  }
  return bytes;
}

std::string IpAddress::text() const {
  if (!is_v6_) return v4_text(words_[0]);
  Groups groups;
  for (std::size_t i = 0; i < kGroups; ++i) {
    groups[i] = static_cast<std::uint16_t>(i % 2 == 0 ? words_[i / 2] >> 16 : words_[i / 2] & 0xffff);
  }
  return v6_text(groups);
}

}  // namespace holdfast
