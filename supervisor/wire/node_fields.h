#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "wire/json_scan.h"
#include "wire/v8_reader.h"

namespace holdfast {

// What a message of a Node.js channel has at its outermost, in either serialization: the members of an object, looked at
// by name, or a string. Both classes answer the same questions, so that what a message means is decided once
// (wire/node_decoding.h).

class JsonFields {
 public:
  // Nothing: it is no JSON.
  [[nodiscard]] static std::optional<JsonFields> of(std::string_view message);

  [[nodiscard]] std::optional<std::string> itself() const;  // if the message is a string
  [[nodiscard]] std::size_t size() const { return members_.size(); }
  [[nodiscard]] bool has(std::string_view name) const { return !raw(name).empty(); }
  [[nodiscard]] std::optional<std::string> text(std::string_view name) const { return json_string(raw(name)); }
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view name) const { return json_integer(raw(name)); }
  [[nodiscard]] std::optional<bool> boolean(std::string_view name) const { return json_boolean(raw(name)); }
  [[nodiscard]] std::string_view raw(std::string_view name) const { return member(members_, name); }

  static constexpr std::string_view kNull = "null";

 private:
  JsonFields(std::string_view message, std::vector<JsonMember> members)
      : message_(message), members_(std::move(members)) {}
  std::string_view message_;
  std::vector<JsonMember> members_;
};

class V8Fields {
 public:
  // Nothing: no V8 would read it. What has something in it that we do not know has the members before that.
  [[nodiscard]] static std::optional<V8Fields> of(std::string_view message);

  [[nodiscard]] std::optional<std::string> itself() const { return itself_; }
  [[nodiscard]] std::size_t size() const { return members_.size(); }
  [[nodiscard]] bool has(std::string_view name) const { return find(name) != nullptr; }
  [[nodiscard]] std::optional<std::string> text(std::string_view name) const;
  [[nodiscard]] std::optional<std::int64_t> integer(std::string_view name) const;
  [[nodiscard]] std::optional<bool> boolean(std::string_view name) const;
  // Empty too where it cannot stand in another message.
  [[nodiscard]] std::string_view raw(std::string_view name) const;

  static constexpr std::string_view kNull = "0";

 private:
  struct Member {
    std::string name;
    std::size_t start = 0;        // in the message: of the value
    char tag = '\0';              // of a scalar
    std::string_view bytes = {};  // of a scalar, behind its tag
    std::string_view value = {};  // the whole of it
    bool bound = false;           // to its message: it refers to what came before
    void add(const V8Token& token, std::size_t depth, std::string_view message);
  };
  [[nodiscard]] const Member* find(std::string_view name) const;

  char outermost_ = '\0';
  std::vector<Member> members_;
  std::optional<std::string> itself_;
};

}  // namespace holdfast
