#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"

namespace holdfast {

// Cuts what comes over a Node.js channel into its lines. Unlike LineSplitter it breaks none: half a message is none.
class NodeLines {
 public:
  // `limit` bytes at most in a line, without its newline.
  explicit NodeLines(std::size_t limit) : limit_(limit) {}

  void push(std::string_view bytes);
  // The next whole line, without its newline; good until the next `push`. Nothing: it has not come yet. An error, once
  // for each: a line goes beyond the limit, and is passed over.
  [[nodiscard]] Result<std::optional<std::string_view>> next();
  // What has come of lines that are not whole yet: another one goes on with it.
  [[nodiscard]] std::string_view rest() const { return std::string_view(bytes_).substr(start_); }

 private:
  std::size_t limit_;
  std::string bytes_;
  std::size_t start_ = 0;     // of the line that is next
  std::size_t searched_ = 0;  // up to here there is no newline behind `start_`
  bool passing_over_ = false;
};

}  // namespace holdfast
