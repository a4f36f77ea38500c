#include "answer.h"

#include <charconv>
#include <optional>

#include <strings.h>

namespace holdfast {
namespace {

template <class Number>
std::optional<Number> leading_number(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  Number number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc()) return std::nullopt;
  return number;
}

std::optional<std::size_t> content_length(std::string_view head) {
  constexpr std::string_view kName = "\ncontent-length:";
  for (std::size_t at = head.find('\n'); at != std::string_view::npos; at = head.find('\n', at + 1)) {
    if (head.size() - at < kName.size()) return std::nullopt;
    if (strncasecmp(head.data() + at, kName.data(), kName.size()) == 0) {
      return leading_number<std::size_t>(head.substr(at + kName.size()));
    }
  }
  return std::nullopt;
}

std::optional<unsigned> slot_in(std::string_view body) {
  constexpr std::string_view kKey = "\"slot\":";
  const std::size_t at = body.find(kKey);
  if (at == std::string_view::npos) return std::nullopt;
  return leading_number<unsigned>(body.substr(at + kKey.size()));
}

}  // namespace

std::variant<Incomplete, Malformed, Answer> read_answer(std::string_view bytes) {
  constexpr std::string_view kStart = "HTTP/1.";
  constexpr std::string_view kBlankLine = "\r\n\r\n";
  if (!bytes.starts_with(kStart.substr(0, bytes.size()))) return Malformed{};
  const std::size_t blank = bytes.find(kBlankLine);
  if (blank == std::string_view::npos) return Incomplete{};

  const std::string_view head = bytes.substr(0, blank);
  const std::size_t space = head.find(' ');
  if (space == std::string_view::npos) return Malformed{};
  const std::optional<int> status = leading_number<int>(head.substr(space));
  const std::optional<std::size_t> length = content_length(head);
  if (!status || !length) return Malformed{};

  const std::string_view body = bytes.substr(blank + kBlankLine.size());
  if (body.size() < *length) return Incomplete{};
  return Answer{*status, blank + kBlankLine.size() + *length, slot_in(body.substr(0, *length))};
}

}  // namespace holdfast
