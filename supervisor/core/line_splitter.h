#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace holdfast {

// Cuts a stream of bytes into lines, however the bytes arrive. A line longer than the limit is broken into lines of
// exactly the limit, so a writer that never ends its line cannot make this grow. Lines are given without their newline;
// every other byte, NUL and '\r' included, is left as it came.
class LineSplitter {
 public:
  using OnLine = std::function<void(std::string_view line)>;  // the view is good during the call only

  explicit LineSplitter(std::size_t limit) : limit_(limit) {}  // at least 1

  // A line that is whole within `bytes` is not copied.
  void push(std::string_view bytes, const OnLine& on_line);
  // A line of which the end has not come yet.
  [[nodiscard]] const std::string& begun() const { return begun_; }
  void set_begun(std::string_view begun) { begun_ = begun.substr(0, limit_); }
  // The writer is gone: gives what it wrote after its last newline, if anything.
  void finish(const OnLine& on_line);

 private:
  std::size_t limit_;
  std::string begun_;  // a line without its newline yet; at most limit_ bytes
};

}  // namespace holdfast
