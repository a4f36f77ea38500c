#include "wire/notify_message.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace holdfast {
namespace {

constexpr int kLargestErrno = 4095;  // the kernel's MAX_ERRNO

// A decimal number without sign, as a whole, within the limits.
template <class Number>
std::optional<Number> number_in(std::string_view text, Number least, Number most) {
  Number number{};
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc{} || end != text.data() + text.size() || number < least || number > most)
    return std::nullopt;
  return number;
}

// A character of UTF-8: how long it is and what it stands for. Nothing if the bytes are none (cut off, overlong, a
// surrogate, beyond U+10FFFF).
struct Character {
  std::size_t length;
  char32_t value;
};
std::optional<Character> first_character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  if (byte(0) < 0x80) return Character{1, byte(0)};
  struct Form {
    unsigned char mask, lead;
    std::size_t length;
    char32_t least;
  };
  constexpr std::array<Form, 3> kForms{{{0xE0, 0xC0, 2, 0x80}, {0xF0, 0xE0, 3, 0x800}, {0xF8, 0xF0, 4, 0x10000}}};
  const auto* const form =
      std::find_if(kForms.begin(), kForms.end(), [&](const Form& f) { return (byte(0) & f.mask) == f.lead; });
  if (form == kForms.end() || text.size() < form->length) return std::nullopt;
  char32_t value = byte(0) & static_cast<unsigned char>(~form->mask);
  for (std::size_t i = 1; i < form->length; ++i) {
    if ((byte(i) & 0xC0U) != 0x80U) return std::nullopt;
    value = value << 6U | (byte(i) & 0x3FU);
  }
  if (value < form->least || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return std::nullopt;
  return Character{form->length, value};
}

bool is_control(char32_t c) { return c < 0x20 || (c >= 0x7F && c < 0xA0); }

// Printable anywhere; nothing if it is no text.
std::optional<std::string> printable(std::string_view text) {
  std::string result;
  bool is_full = false;
  while (!text.empty()) {
    const std::optional<Character> character = first_character(text);
    if (!character) return std::nullopt;
    const std::string_view shown = is_control(character->value) ? "?" : text.substr(0, character->length);
    is_full = is_full || result.size() + shown.size() > kMaxNotifyStatus;
    if (!is_full) result += shown;
    text.remove_prefix(character->length);
  }
  return result;
}

NotifyMessage::Watchdog watchdog_of(std::string_view value) {
  if (value == "1") return NotifyMessage::Watchdog::Beat;
  if (value == "trigger") return NotifyMessage::Watchdog::Trigger;
  return NotifyMessage::Watchdog::None;
}

std::optional<Duration> extension_of(std::string_view value) {
  const auto microseconds = number_in<std::uint64_t>(value, 0, std::numeric_limits<std::uint64_t>::max());
  if (!microseconds) return std::nullopt;
  constexpr auto kMost = std::chrono::duration_cast<std::chrono::microseconds>(kMaxNotifyExtension).count();
  return std::chrono::microseconds(std::min(*microseconds, static_cast<std::uint64_t>(kMost)));
}

void read_line(std::string_view line, NotifyMessage& message) {
  const std::size_t equals = line.find('=');
  if (equals == std::string_view::npos) return;
  const std::string_view name = line.substr(0, equals);
  const std::string_view value = line.substr(equals + 1);
  if (name == "READY") {
    message.is_ready = message.is_ready || value == "1";
  } else if (name == "RELOADING") {
    message.is_reloading = message.is_reloading || value == "1";
  } else if (name == "STOPPING") {
    message.is_stopping = message.is_stopping || value == "1";
  } else if (name == "WATCHDOG") {
    if (message.watchdog == NotifyMessage::Watchdog::None) message.watchdog = watchdog_of(value);
  } else if (name == "STATUS") {
    if (!message.status) message.status = printable(value);
  } else if (name == "ERRNO") {
    if (!message.error) message.error = number_in(value, 1, kLargestErrno);
  } else if (name == "MAINPID") {
    if (!message.main_pid)
      message.main_pid = number_in<std::int32_t>(value, 1, std::numeric_limits<std::int32_t>::max());
  } else if (name == "EXTEND_TIMEOUT_USEC") {
    if (!message.extend_timeout) message.extend_timeout = extension_of(value);
  }
}

}  // namespace

Result<NotifyMessage> parse_notify_message(std::string_view datagram) {
  if (datagram.size() > kMaxNotifyDatagram)
    return Error{{}, "read a notification: it is longer than " + std::to_string(kMaxNotifyDatagram) + " bytes"};
  while (!datagram.empty() && datagram.back() == '\0') datagram.remove_suffix(1);  // a string of C, sent with its end
  if (datagram.find('\0') != std::string_view::npos)
    return Error{{}, "read a notification: there is a NUL byte in the middle of it"};
  NotifyMessage message;
  while (!datagram.empty()) {
    const std::size_t end = std::min(datagram.find('\n'), datagram.size());
    read_line(datagram.substr(0, end), message);
    datagram.remove_prefix(std::min(end + 1, datagram.size()));
  }
  return message;
}

}  // namespace holdfast
