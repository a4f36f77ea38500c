#include "core/line_splitter.h"

#include <algorithm>

namespace holdfast {

void LineSplitter::push(std::string_view bytes, const OnLine& on_line) {
  while (!bytes.empty()) {
    const std::size_t room = limit_ - begun_.size();
    // A newline just behind a full line still belongs to it: else a line of exactly the limit would be followed by an
    // empty one.
    const std::string_view reach = bytes.substr(0, room + 1);
    const std::size_t newline = reach.find('\n');
    if (newline == std::string_view::npos && bytes.size() <= room) {
      begun_.append(bytes);
      return;
    }
    const std::size_t length = std::min(newline, room);
    if (begun_.empty()) {
      on_line(bytes.substr(0, length));
    } else {
      begun_.append(bytes.substr(0, length));
      on_line(begun_);
      begun_.clear();
    }
    bytes.remove_prefix(newline == std::string_view::npos ? length : length + 1);
  }
}

void LineSplitter::finish(const OnLine& on_line) {
  if (!begun_.empty()) on_line(begun_);
  begun_.clear();
}

}  // namespace holdfast
