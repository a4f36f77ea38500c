#include "wire/node_frames.h"

#include <algorithm>

namespace holdfast {

namespace {

constexpr std::size_t kWord = 4;
constexpr char kVersionMark = '\xff';

std::uint32_t length_in(std::string_view word) {
  std::uint32_t length = 0;
  for (std::size_t i = 0; i < kWord; ++i) length = length << 8U | static_cast<unsigned char>(word[i]);
  return length;
}

}  // namespace

void NodeFrames::push(std::string_view bytes) {
  // Messages that were handed out are dropped only here: they are good until now.
  bytes_.erase(0, start_);
  start_ = 0;
  const std::size_t over = std::min<std::uint64_t>(passing_over_, bytes.size());
  passing_over_ -= over;
  bytes_.append(bytes.substr(over));
}

Result<std::optional<std::string_view>> NodeFrames::next() {
  const std::string_view left = std::string_view(bytes_).substr(start_);
  if (passing_over_ > 0 || left.size() < kWord) return std::optional<std::string_view>();
  const std::uint32_t length = length_in(left);
  if (length > limit_) {
    const std::size_t here = std::min<std::size_t>(length, left.size() - kWord);
    start_ += kWord + here;
    passing_over_ = length - here;
    return Error{{}, "read a message of its channel that goes beyond " + std::to_string(limit_) + " bytes"};
  }
  if (left.size() - kWord < length) return std::optional<std::string_view>();
  start_ += kWord + length;
  return std::optional(left.substr(kWord, length));
}

bool NodeFrames::may_begin_here() const {
  const std::string_view left = rest();
  return left.size() <= kWord || (length_in(left) <= limit_ && left[kWord] == kVersionMark);
}

}  // namespace holdfast
