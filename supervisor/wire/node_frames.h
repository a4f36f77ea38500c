#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace holdfast {

// Cuts what comes over a Node.js channel in V8's serialization into its messages: each has its length before it, in four
// bytes, the greatest first.
class NodeFrames {
 public:
  explicit NodeFrames(std::size_t limit) : limit_(limit) {}

  void push(std::string_view bytes);
  // The next whole message, without its length; good until the next `push`. Nothing: it has not come yet. An error, once
  // for each: a message goes beyond the limit, and is passed over.
  [[nodiscard]] Result<std::optional<std::string_view>> next();

  // Whether what has come and was not handed out may be the beginning of a message, and not its middle: V8 begins each
  // with a mark, which no text has.
  [[nodiscard]] bool may_begin_here() const;

  // What has come of messages that are not whole yet: another one goes on with it.
  [[nodiscard]] std::string_view rest() const { return std::string_view(bytes_).substr(start_); }

 private:
  std::size_t limit_;
  std::string bytes_;
  std::size_t start_ = 0;           // of the message that is next
  std::uint64_t passing_over_ = 0;  // bytes that are still to come of one that is too long
};

}  // namespace holdfast
