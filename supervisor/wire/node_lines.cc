#include "wire/node_lines.h"

namespace holdfast {

void NodeLines::push(std::string_view bytes) {
  // Lines that were handed out are dropped only here: they are good until now.
  bytes_.erase(0, start_);
  searched_ -= start_;
  start_ = 0;
  bytes_.append(bytes);
}

Result<std::optional<std::string_view>> NodeLines::next() {
  const std::size_t newline = bytes_.find('\n', searched_);
  const std::size_t end = newline == std::string::npos ? bytes_.size() : newline;
  if (end - start_ > limit_) {
    return Error{{}, "read a line of its channel that goes beyond " + std::to_string(limit_) + " bytes"};
  }
  if (newline == std::string::npos) {
    searched_ = bytes_.size();
    return std::optional<std::string_view>();
  }
  const std::string_view line = std::string_view(bytes_).substr(start_, end - start_);
  start_ = searched_ = newline + 1;
  return std::optional(line);
}

}  // namespace holdfast
