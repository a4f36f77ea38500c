#include "wire/v8_reader.h"

#include <bit>
#include <cstring>

namespace holdfast {

namespace {

constexpr unsigned char kVersionTag = 0xFF;
constexpr char kPadding = '\0';

bool is_string_tag(char tag) { return tag == '"' || tag == 'c' || tag == 'S'; }
bool may_be_key(char tag) { return is_string_tag(tag) || tag == 'I' || tag == 'U' || tag == 'N'; }

// The end of what a tag begins; none: it begins nothing that has values in it.
char end_of(char tag) {
  switch (tag) {
    case 'o':
      return '{';
    case 'A':
      return '$';
    case 'a':
      return '@';
    case ';':
      return ':';
    case '\'':
      return ',';
    case 'r':
      return '.';
    default:
      return '\0';
  }
}
bool has_keys(char tag) { return tag == 'o' || tag == 'a' || tag == ';'; }

void append_utf8(std::string& text, char32_t c) {
  const auto add = [&](char32_t byte) { text += static_cast<char>(byte); };
  if (c < 0x80) return add(c);
  if (c < 0x800) {
    add(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      add(0xE0 | c >> 12);
    } else {
      add(0xF0 | c >> 18);
      add(0x80 | (c >> 12 & 0x3F));
    }
    add(0x80 | (c >> 6 & 0x3F));
  }
  add(0x80 | (c & 0x3F));
}

std::string from_utf16(std::string_view bytes) {
  const auto unit = [&](std::size_t i) {
    return static_cast<char32_t>(static_cast<unsigned char>(bytes[i]) | static_cast<unsigned char>(bytes[i + 1]) << 8);
  };
  std::string text;
  for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
    const char32_t first = unit(i);
    const bool half = first >= 0xD800 && first < 0xE000;
    if (half && first < 0xDC00 && i + 3 < bytes.size() && unit(i + 2) >= 0xDC00 && unit(i + 2) < 0xE000) {
      append_utf8(text, 0x10000 + ((first - 0xD800) << 10) + (unit(i + 2) - 0xDC00));
      i += 2;
    } else {
      append_utf8(text, half ? U'\uFFFD' : first);
    }
  }
  return text;
}

std::string from_latin1(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (const char c : bytes) append_utf8(text, static_cast<unsigned char>(c));
  return text;
}

// Without the length before it.
std::string_view characters(std::string_view bytes) {
  std::size_t length = 0;
  while (length < bytes.size() && (static_cast<unsigned char>(bytes[length]) & 0x80U) != 0) ++length;
  return bytes.substr(length + 1);
}

double double_of(std::string_view bytes) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < sizeof bits; ++i) bits |= std::uint64_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
  return std::bit_cast<double>(bits);
}

std::uint32_t varint_of(std::string_view bytes) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < bytes.size() && i < 5; ++i) {
    value |= (static_cast<unsigned char>(bytes[i]) & 0x7FU) << (7 * i);
  }
  return value;
}

}  // namespace

V8Reader::V8Reader(std::string_view message) : message_(message) {
  if (message_.empty() || static_cast<unsigned char>(message_[0]) != kVersionTag) return;
  at_ = 1;
  version_ = varint().value_or(0);
}

V8Token V8Reader::next() {
  V8Token token;
  if (version_ < kOldestVersion) return token;
  if (version_ > kNewestVersion) return unknown(token);
  if (nesting_.empty()) {
    if (!begun_) {
      begun_ = true;
      return value(false);
    }
    token.kind = at_end() ? V8Token::Kind::End : V8Token::Kind::Malformed;
    return token;
  }
  Nested& inner = nesting_.back();
  if (inner.tag == 'r') return piece_of_error();
  skip_padding();
  if (at_end()) return token;
  if (message_[at_] == end_of(inner.tag)) return close();
  // Behind its elements an array has properties, as an object has.
  const std::uint32_t before = inner.tag == 'A' ? inner.declared : 0;
  const bool keyed = has_keys(inner.tag) || inner.values >= before;
  const bool is_key = inner.tag != '\'' && keyed && (inner.values - before) % 2 == 0;
  ++inner.values;
  return value(is_key);
}

V8Token V8Reader::value(bool is_key) {
  V8Token token;
  token.is_key = is_key;
  skip_padding();
  token.start = at_;
  if (at_end()) return token;
  token.tag = message_[at_++];
  // What may stand before a value: a count of objects, and the mark of an object of the host that has no bytes.
  while (token.tag == '?' || token.tag == '\\') {
    const std::optional<std::uint32_t> number = varint();
    if (!number) return token;
    if (token.tag == '\\') {
      ++objects_;
      if (*number == 0) return scalar(token, skip_host_object());
      if (*number != 1) return unknown(token);
    }
    skip_padding();
    if (at_end()) return token;
    token.tag = message_[at_++];
  }
  const bool in_map = !nesting_.empty() && nesting_.back().tag == ';';
  if (is_key && !in_map && !may_be_key(token.tag)) return token;
  switch (token.tag) {
    case 'o':
    case ';':
    case '\'':
    case 'r':
      ++objects_;
      return open(token, 0);
    case 'A':
    case 'a': {
      ++objects_;
      const std::optional<std::uint32_t> length = varint();
      return length ? open(token, *length) : token;
    }
    case '-':
      return scalar(token, !nesting_.empty() && nesting_.back().tag == 'A' && !is_key);
    case '_':
    case '0':
    case 'T':
    case 'F':
    case 'I':
    case 'U':
    case 'N':
    case 'Z':
    case '"':
    case 'c':
    case 'S':
    case '^':
    case 'D':
    case 'y':
    case 'x':
    case 'n':
    case 'z':
    case 's':
    case 'R':
    case 'B':
    case '~':
      return payload(token);
    case '{':
    case '$':
    case '@':
    case ':':
    case ',':
      return token;  // the end of something else
    default:
      return unknown(token);
  }
}

V8Token V8Reader::unknown(V8Token token) {
  token.kind = V8Token::Kind::Unknown;
  return token;
}

V8Token V8Reader::payload(V8Token token) {
  const std::size_t start = at_;
  const bool whole = skip_payload(token.tag);
  token.bytes = message_.substr(start, at_ - start);
  return scalar(token, whole);
}

V8Token V8Reader::scalar(V8Token token, bool whole) {
  if (!whole) return token;
  token.kind = V8Token::Kind::Scalar;
  token.end = at_;
  return token;
}

V8Token V8Reader::open(V8Token token, std::uint32_t declared) {
  token.kind = V8Token::Kind::Open;
  token.end = at_;
  nesting_.push_back({token.tag, declared});
  return token;
}

V8Token V8Reader::close() {
  V8Token token;
  token.tag = nesting_.back().tag;
  token.start = at_++;
  if (!counts_match(nesting_.back())) return token;
  nesting_.pop_back();
  token.kind = V8Token::Kind::Close;
  token.end = at_;
  return token;
}

// Behind its end stands how many values it had.
bool V8Reader::counts_match(const Nested& nested) {
  if (nested.tag == 'r') return true;
  const std::optional<std::uint32_t> count = varint();
  if (!count) return false;
  const std::uint64_t pairs = std::uint64_t{2} * *count;
  if (nested.tag == 'o') return nested.values == pairs;
  if (nested.tag == ';' || nested.tag == '\'') {
    return nested.values == *count && (nested.tag == '\'' || nested.values % 2 == 0);
  }
  const std::optional<std::uint32_t> length = varint();
  if (length != nested.declared) return false;
  return nested.values == pairs + (nested.tag == 'A' ? nested.declared : 0);
}

// Letters of its own stand for what an error has.
V8Token V8Reader::piece_of_error() {
  V8Token token;
  while (!at_end()) {
    token.start = at_;
    switch (message_[at_]) {
      case '.':
        return close();
      case 'E':
      case 'R':
      case 'F':
      case 'S':
      case 'T':
      case 'U':
        ++at_;
        continue;
      case 'm':
      case 's': {
        ++at_;
        V8Token text = value(false);
        if (!is_string_tag(text.tag)) text.kind = V8Token::Kind::Malformed;
        return text;
      }
      case 'c':
        ++at_;
        return value(false);
      default:
        return unknown(token);
    }
  }
  return token;
}

bool V8Reader::skip_payload(char tag) {
  switch (tag) {
    case 'I':
    case 'U':
      return varint().has_value();
    case 'D':
    case 'n':
      ++objects_;
      return skip(sizeof(double));
    case 'N':
      return skip(sizeof(double));
    case 'z':
      ++objects_;
      [[fallthrough]];
    case 'Z': {
      const std::optional<std::uint32_t> sign_and_length = varint();
      return sign_and_length && skip(*sign_and_length >> 1);
    }
    case '"':
    case 'S':
      return skip_sized();
    case 'c': {
      const std::optional<std::uint32_t> length = varint();
      return length && *length % 2 == 0 && skip(*length);
    }
    case '^': {
      const std::optional<std::uint32_t> object = varint();
      return object && *object < objects_ && skip_view();
    }
    case 'y':
    case 'x':
      ++objects_;
      return true;
    case 's':
      ++objects_;
      return skip_string();
    case 'R':
      ++objects_;
      return skip_string() && varint();
    case 'B':
      ++objects_;
      return skip_sized() && skip_view();
    case '~': {
      ++objects_;
      const std::optional<std::uint32_t> length = varint();
      const std::optional<std::uint32_t> most = length ? varint() : std::nullopt;
      return most && *length <= *most && skip(*length) && skip_view();
    }
    default:
      return true;
  }
}

// A view of the buffer that has just been read may follow, and is the value then.
bool V8Reader::skip_view() {
  if (at_end() || message_[at_] != 'V') return true;
  ++at_;
  ++objects_;
  const bool whole = skip(1) && varint() && varint();
  return whole && (version_ < 14 || varint());
}

bool V8Reader::skip_host_object() { return varint() && skip_sized(); }

bool V8Reader::skip_string() {
  skip_padding();
  if (at_end() || !is_string_tag(message_[at_])) return false;
  return skip_payload(message_[at_++]);
}

void V8Reader::skip_padding() {
  while (!at_end() && message_[at_] == kPadding) ++at_;
}

bool V8Reader::skip(std::size_t length) {
  if (length > message_.size() - at_) return false;
  at_ += length;
  return true;
}

bool V8Reader::skip_sized() {
  const std::optional<std::uint32_t> length = varint();
  return length && skip(*length);
}

std::optional<std::uint32_t> V8Reader::varint() {
  const std::size_t start = at_;
  while (!at_end() && at_ - start < 5) {
    if ((static_cast<unsigned char>(message_[at_++]) & 0x80U) == 0)
      return varint_of(message_.substr(start, at_ - start));
  }
  return std::nullopt;
}

std::optional<std::string> v8_string(char tag, std::string_view bytes) {
  switch (tag) {
    case '"':
      return from_latin1(characters(bytes));
    case 'c':
      return from_utf16(characters(bytes));
    case 'S':
      return std::string(characters(bytes));
    default:
      return std::nullopt;
  }
}

std::optional<double> v8_number(char tag, std::string_view bytes) {
  if (tag == 'U') return varint_of(bytes);
  if (tag == 'N') return double_of(bytes);
  if (tag != 'I') return std::nullopt;
  const std::uint32_t zigzag = varint_of(bytes);
  return static_cast<double>(static_cast<std::int32_t>(zigzag >> 1 ^ (0U - (zigzag & 1U))));
}

std::optional<bool> v8_boolean(char tag) {
  if (tag == 'T') return true;
  if (tag == 'F') return false;
  return std::nullopt;
}

}  // namespace holdfast
