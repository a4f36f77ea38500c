#include "wire/node_lines.h"

#include <utility>

namespace holdfast {

void NodeLines::push(std::string_view bytes) {
  // Lines that were handed out are dropped only here: they are good until now.
  bytes_.erase(0, start_);
  searched_ -= start_;
  start_ = 0;
  bytes_.append(bytes);
}

Result<std::optional<std::string_view>> NodeLines::next() {
  for (;;) {
    const std::size_t newline = bytes_.find('\n', searched_);
    const bool whole = newline != std::string::npos;
    const std::size_t start = start_;
    const std::size_t end = whole ? newline : bytes_.size();
    const bool too_long = end - start > limit_;
    const bool known = std::exchange(passing_over_, !whole && (passing_over_ || too_long));
    if (whole || passing_over_) start_ = whole ? end + 1 : end;
    searched_ = whole ? end + 1 : end;
    if (known && !whole) return std::optional<std::string_view>();
    if (known) continue;
    if (too_long) {
      return Error{{}, "read a line of its channel that goes beyond " + std::to_string(limit_) + " bytes"};
    }
    if (!whole) return std::optional<std::string_view>();
    return std::optional(std::string_view(bytes_).substr(start, end - start));
  }
}

}  // namespace holdfast
