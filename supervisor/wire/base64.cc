#include "wire/base64.h"

#include <cstdint>

namespace holdfast {

namespace {

constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

}  // namespace

std::string to_base64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; j++) {
      group = group << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; j++) {
      text += i + j > bytes.size() ? '=' : kDigits[group >> (18 - 6 * j) & 63U];
    }
  }
  return text;
}

std::optional<std::string> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 4) {
    std::uint32_t group = 0;
    std::size_t pads = 0;
    for (std::size_t j = 0; j < 4; j++) {
      const char c = text[i + j];
      const bool is_pad = c == '=' && i + 4 == text.size() && j >= 2;
      const std::size_t digit = is_pad ? 0 : kDigits.find(c);
      if (digit == std::string_view::npos || (pads > 0 && !is_pad)) return std::nullopt;
      pads += is_pad ? 1 : 0;
      group = group << 6 | static_cast<std::uint32_t>(digit);
    }
    for (std::size_t j = 0; j < 3 - pads; j++) bytes += static_cast<char>(group >> (16 - 8 * j) & 0xffU);
  }
  return bytes;
}

}  // namespace holdfast
