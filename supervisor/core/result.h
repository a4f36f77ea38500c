#pragma once

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>
#include <variant>

namespace holdfast {

// A failure as a value: what was attempted, in the user's words ("bind 0.0.0.0:80"), and why it failed.
struct Error {
  std::error_code code;
  std::string doing;

  // "bind 0.0.0.0:80: Permission denied"; without a code just what was being done.
  [[nodiscard]] std::string message() const { return code ? doing + ": " + code.message() : doing; }
};

// The error of the system call that has just failed.
[[nodiscard]] inline Error last_error(std::string doing) {
  return Error{std::error_code(errno, std::generic_category()), std::move(doing)};
}

// A value or an Error, with the method names of std::expected so that C++23 makes this a `using`.
template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}      // NOLINT(google-explicit-constructor)
  Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}  // NOLINT(google-explicit-constructor)

  [[nodiscard]] bool has_value() const noexcept { return held_.index() == 0; }
  explicit operator bool() const noexcept { return has_value(); }
  T& operator*() & { return std::get<0>(held_); }
  const T& operator*() const& { return std::get<0>(held_); }
  T&& operator*() && { return std::get<0>(std::move(held_)); }
  T* operator->() { return &std::get<0>(held_); }
  const T* operator->() const { return &std::get<0>(held_); }
  [[nodiscard]] const Error& error() const& { return std::get<1>(held_); }
  [[nodiscard]] Error&& error() && { return std::get<1>(std::move(held_)); }

 private:
  std::variant<T, Error> held_;
};

// Success without a value.
struct Done {};
using Outcome = Result<Done>;

}  // namespace holdfast
