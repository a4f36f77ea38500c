#include "wire/v8_text.h"

#include <cmath>
#include <cstdint>
#include <vector>

#include "wire/json_members.h"
#include "wire/v8_reader.h"

namespace holdfast {

namespace {

std::string text_of(double number) {
  constexpr double kExact = 9007199254740992.0;  // 2^53: whole numbers below it are told without a fraction
  if (std::isnan(number)) return "NaN";
  if (std::isinf(number)) return number < 0 ? "-Infinity" : "Infinity";
  const bool whole = std::abs(number) < kExact && std::trunc(number) == number;
  return whole ? std::to_string(static_cast<std::int64_t>(number)) : json_text(Json(number));
}

std::string text_of(const V8Token& token) {
  if (const std::optional<std::string> text = v8_string(token.tag, token.bytes)) return json_text(Json(*text));
  if (const std::optional<double> number = v8_number(token.tag, token.bytes)) return text_of(*number);
  switch (token.tag) {
    case 'T':
    case 'y':
      return "true";
    case 'F':
    case 'x':
      return "false";
    case '0':
      return "null";
    case '_':
      return "undefined";
    case '-':
      return "";
    case 'D':
      return "[Date]";
    case 'n':
      return "[Number]";
    case 's':
      return "[String]";
    case 'Z':
    case 'z':
      return "[BigInt]";
    case 'R':
      return "[RegExp]";
    case '\\':
      return "[Buffer]";
    case 'B':
    case '~':
      return "[ArrayBuffer]";
    default:
      return "[...]";
  }
}

std::string_view opening(char tag) {
  switch (tag) {
    case 'o':
      return "{";
    case ';':
      return "Map{";
    case '\'':
      return "Set{";
    case 'r':
      return "Error{";
    default:
      return "[";
  }
}
bool is_array(char tag) { return tag == 'A' || tag == 'a'; }

}  // namespace

std::string v8_text(std::string_view message, std::size_t limit) {
  using Kind = V8Token::Kind;
  V8Reader reader(message);
  std::string text;
  std::vector<char> ends;
  bool fresh = true;  // no comma is needed
  while (text.size() < limit) {
    const V8Token token = reader.next();
    if (token.kind == Kind::End) return text;
    if (token.kind == Kind::Malformed || token.kind == Kind::Unknown) break;
    if (token.kind == Kind::Close) {
      text += ends.back();
      ends.pop_back();
      fresh = false;
      continue;
    }
    if (!fresh) text += ',';
    fresh = token.kind == Kind::Open || token.is_key;
    if (token.kind == Kind::Open) {
      text += opening(token.tag);
      ends.push_back(is_array(token.tag) ? ']' : '}');
    } else {
      text += text_of(token) + (token.is_key ? ":" : "");
    }
  }
  return text + "...";
}

}  // namespace holdfast
