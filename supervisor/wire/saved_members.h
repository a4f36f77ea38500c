#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "core/ids.h"
#include "core/time.h"
#include "wire/json_members.h"

namespace holdfast {

// How the values of a saved state become JSON and come back. A struct tells its members once, in a function
//
//   template <class Form> void members(Form& form, Thing& thing) { form("size", thing.size); ... }
//
// which SavedWriter and SavedReader both call. The writer leaves nothing out; the reader leaves a member that is missing
// as it is and ignores those that it does not know, so that a newer and an older program read each other. Times are
// nanoseconds of CLOCK_MONOTONIC, which every process of one boot shares.
//
// Enumerators, and the alternatives of a variant, have names here: their numbers may change between programs.
template <class T>
struct SavedNames;  // static constexpr std::array<std::string_view, N> value

template <class T>
concept SavedByName = requires {
  SavedNames<T>::value.size();
};
template <class T>
concept SavedVariant = SavedByName<T> && requires {
  std::variant_size<T>::value;
};
template <class T>
concept SavedEnum = SavedByName<T> && std::is_enum_v<T>;

class SavedWriter {
 public:
  template <class T>
  void operator()(std::string_view name, const T& value) {
    object_[std::string(name)] = json_of(value);
  }
  [[nodiscard]] Json take() { return std::move(object_); }

  template <class T>
  [[nodiscard]] static Json object_of(const T& value) {
    SavedWriter writer;
    members(writer, const_cast<T&>(value));  // the writer only looks
    return writer.take();
  }

 private:
  template <class T>
  [[nodiscard]] static Json json_of(const T& value) {
    if constexpr (std::is_arithmetic_v<T> || std::same_as<T, std::string>) {
      return value;
    } else if constexpr (SavedEnum<T>) {
      return std::string(SavedNames<T>::value[static_cast<std::size_t>(value)]);
    } else if constexpr (SavedVariant<T>) {
      Json json = std::visit([](const auto& held) { return object_of(held); }, value);
      json["is"] = std::string(SavedNames<T>::value[value.index()]);
      return json;
    } else {
      return object_of(value);
    }
  }
  [[nodiscard]] static Json json_of(const Duration& value) { return value.count(); }
  [[nodiscard]] static Json json_of(const TimePoint& value) { return value.time_since_epoch().count(); }
  template <class Tag>
  [[nodiscard]] static Json json_of(const Id<Tag>& value) {
    return value.value;
  }
  template <class T>
  [[nodiscard]] static Json json_of(const std::optional<T>& value) {
    return value ? json_of(*value) : Json();
  }
  template <class T>
  [[nodiscard]] static Json json_of(const std::vector<T>& values) {
    return json_of_all(values);
  }
  template <class T>
  [[nodiscard]] static Json json_of(const std::deque<T>& values) {
    return json_of_all(values);
  }
  template <class T, std::size_t N>
  [[nodiscard]] static Json json_of(const std::array<T, N>& values) {
    return json_of_all(values);
  }
  template <class T>
  [[nodiscard]] static Json json_of(const std::map<std::string, T>& values) {
    Json json = Json::object();
    auto& members = json.get_ref<Json::object_t&>();  // whose operator [] looks at all that are there already
    for (const auto& [name, value] : values) members.emplace_back(name, json_of(value));
    return json;
  }
  template <class Range>
  [[nodiscard]] static Json json_of_all(const Range& values) {
    Json json = Json::array();
    for (const auto& value : values) json.push_back(json_of(value));
    return json;
  }

  Json object_ = Json::object();
};

// The first member that does not fit is remembered as the fault, and left as it is.
class SavedReader {
 public:
  SavedReader(const Json& object, std::string& fault) : object_(object), fault_(fault) {
    if (!object.is_object() && fault_.empty()) fault_ = "something that should be an object is none";
  }

  template <class T>
  void operator()(std::string_view name, T& value) {
    if (!object_.is_object()) return;
    const auto found = object_.find(std::string(name));
    if (found == object_.end() || found->is_null()) return;
    if (!read(*found, value) && fault_.empty()) fault_ = "'" + std::string(name) + "' has a value that does not fit";
  }

 private:
  template <class T>
  [[nodiscard]] bool read(const Json& json, T& value) {
    if constexpr (std::same_as<T, bool>) {
      if (!json.is_boolean()) return false;
      value = json.get<bool>();
      return true;
    } else if constexpr (std::integral<T>) {
      return read_number(json, value);
    } else if constexpr (std::same_as<T, std::string>) {
      if (!json.is_string()) return false;
      value = json.get<std::string>();
      return true;
    } else if constexpr (SavedEnum<T>) {
      const std::optional<std::size_t> index = index_of<T>(json);
      if (index) value = static_cast<T>(*index);
      return index.has_value();
    } else if constexpr (SavedVariant<T>) {
      if (!json.is_object() || !json.contains("is")) return false;
      const std::optional<std::size_t> index = index_of<T>(json["is"]);
      return index && read_alternative(json, *index, value, std::make_index_sequence<std::variant_size_v<T>>());
    } else {
      SavedReader reader(json, fault_);
      members(reader, value);
      return json.is_object();
    }
  }
  template <class Number>
  [[nodiscard]] static bool read_number(const Json& json, Number& value) {
    if (json.is_number_unsigned()) {
      const auto wide = json.get<std::uint64_t>();
      if (std::in_range<Number>(wide)) value = static_cast<Number>(wide);
      return std::in_range<Number>(wide);
    }
    if (!json.is_number_integer()) return false;
    const auto wide = json.get<std::int64_t>();
    if (std::in_range<Number>(wide)) value = static_cast<Number>(wide);
    return std::in_range<Number>(wide);
  }
  template <class T>
  [[nodiscard]] static std::optional<std::size_t> index_of(const Json& json) {
    if (!json.is_string()) return std::nullopt;
    const auto& names = SavedNames<T>::value;
    for (std::size_t i = 0; i < names.size(); i++) {
      if (json.get_ref<const std::string&>() == names[i]) return i;
    }
    return std::nullopt;
  }
  template <class Variant, std::size_t... I>
  [[nodiscard]] bool read_alternative(const Json& json, std::size_t index, Variant& value, std::index_sequence<I...>) {
    static_assert(std::variant_size_v<Variant> == SavedNames<Variant>::value.size());
    return ((index == I && read(json, value.template emplace<I>())) || ...);
  }
  [[nodiscard]] bool read(const Json& json, Duration& value) {
    Duration::rep count = 0;
    if (!read_number(json, count)) return false;
    value = Duration(count);
    return true;
  }
  [[nodiscard]] bool read(const Json& json, TimePoint& value) {
    Duration since{};
    if (!read(json, since)) return false;
    value = TimePoint(since);
    return true;
  }
  template <class Tag>
  [[nodiscard]] bool read(const Json& json, Id<Tag>& value) {
    return read_number(json, value.value);
  }
  template <class T>
  [[nodiscard]] bool read(const Json& json, std::optional<T>& value) {
    T held{};
    if (!read(json, held)) return false;
    value = std::move(held);
    return true;
  }
  template <class T>
  [[nodiscard]] bool read(const Json& json, std::vector<T>& values) {
    return read_all(json, values);
  }
  template <class T>
  [[nodiscard]] bool read(const Json& json, std::deque<T>& values) {
    return read_all(json, values);
  }
  template <class T, std::size_t N>
  [[nodiscard]] bool read(const Json& json, std::array<T, N>& values) {
    if (!json.is_array() || json.size() != N) return false;
    for (std::size_t i = 0; i < N; i++) {
      if (!read(json[i], values[i])) return false;
    }
    return true;
  }
  template <class T>
  [[nodiscard]] bool read(const Json& json, std::map<std::string, T>& values) {
    if (!json.is_object()) return false;
    values.clear();
    for (const auto& [name, item] : json.items()) {
      if (!read(item, values[name])) return false;
    }
    return true;
  }
  template <class Range>
  [[nodiscard]] bool read_all(const Json& json, Range& values) {
    if (!json.is_array()) return false;
    values.clear();
    for (const Json& item : json) {
      if (!read(item, values.emplace_back())) return false;
    }
    return true;
  }

  const Json& object_;
  std::string& fault_;
};

}  // namespace holdfast
