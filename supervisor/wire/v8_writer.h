#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "wire/json_members.h"

namespace holdfast {

// Writes one value in V8's own serialization, as the oldest version that we read and every later V8 reads too. Inside
// an object each value has a key before it.
class V8Writer {
 public:
  V8Writer();

  V8Writer& open();  // an object
  V8Writer& close();
  V8Writer& key(std::string_view name);
  V8Writer& text(std::string_view value);  // UTF-8
  V8Writer& integer(std::int64_t value);
  V8Writer& null();
  // A value as another message had it. It may not refer to what came before it there.
  V8Writer& raw(std::string_view value);
  V8Writer& json(const Json& value);

  // Header and value.
  [[nodiscard]] const std::string& message() const { return bytes_; }

 private:
  void string(std::string_view value);
  void varint(std::uint32_t value);
  void number(double value);

  std::string bytes_;
  std::vector<std::uint32_t> properties_;  // of the objects that are open
};

}  // namespace holdfast
