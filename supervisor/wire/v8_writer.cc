#include "wire/v8_writer.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "wire/v8_reader.h"

namespace holdfast {

V8Writer::V8Writer() : bytes_{'\xFF', static_cast<char>(V8Reader::kOldestVersion)} {}

V8Writer& V8Writer::open() {
  bytes_ += 'o';
  properties_.push_back(0);
  return *this;
}

V8Writer& V8Writer::close() {
  bytes_ += '{';
  varint(properties_.back());
  properties_.pop_back();
  return *this;
}

V8Writer& V8Writer::key(std::string_view name) {
  ++properties_.back();
  string(name);
  return *this;
}

V8Writer& V8Writer::text(std::string_view value) {
  string(value);
  return *this;
}

V8Writer& V8Writer::integer(std::int64_t value) {
  if (!std::in_range<std::int32_t>(value)) {
    number(static_cast<double>(value));
    return *this;
  }
  const auto narrow = static_cast<std::int32_t>(value);
  bytes_ += 'I';
  varint(static_cast<std::uint32_t>(narrow) << 1U ^ (narrow < 0 ? std::numeric_limits<std::uint32_t>::max() : 0U));
  return *this;
}

V8Writer& V8Writer::null() { return raw("0"); }

V8Writer& V8Writer::raw(std::string_view value) {
  bytes_ += value;
  return *this;
}

V8Writer& V8Writer::json(const Json& value) {  // NOLINT(misc-no-recursion): parse_json limits the depth
  if (value.is_string()) return text(value.get_ref<const std::string&>());
  if (value.is_boolean()) return raw(value.get<bool>() ? "T" : "F");
  if (value.is_number_integer() &&
      (!value.is_number_unsigned() || std::in_range<std::int64_t>(value.get<std::uint64_t>())))
    return integer(value.get<std::int64_t>());
  if (value.is_number()) {
    number(value.get<double>());
    return *this;
  }
  if (value.is_object()) {
    open();
    for (const auto& [name, member] : value.items()) key(name).json(member);
    return close();
  }
  if (!value.is_array()) return null();
  const auto length = static_cast<std::uint32_t>(value.size());
  bytes_ += 'A';
  varint(length);
  for (const Json& element : value) json(element);
  bytes_ += '$';
  varint(0);
  varint(length);
  return *this;
}

void V8Writer::string(std::string_view value) {
  const bool ascii =
      std::all_of(value.begin(), value.end(), [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  bytes_ += ascii ? '"' : 'S';
  varint(static_cast<std::uint32_t>(value.size()));
  bytes_ += value;
}

void V8Writer::varint(std::uint32_t value) {
  for (; value >= 0x80; value >>= 7U) bytes_ += static_cast<char>(value | 0x80U);
  bytes_ += static_cast<char>(value);
}

void V8Writer::number(double value) {
  bytes_ += 'N';
  const auto bits = std::bit_cast<std::uint64_t>(value);
  for (unsigned i = 0; i < 8; ++i) bytes_ += static_cast<char>(bits >> (8 * i) & 0xFFU);
}

}  // namespace holdfast
