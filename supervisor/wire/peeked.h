#pragma once

#include <cstddef>

namespace holdfast {

// The parsers of a connection's first bytes look at a prefix that was peeked (MSG_PEEK): it always begins with the first byte of the
// connection and grows from look to look. Nothing is consumed by looking. What a parser says of a prefix that may
// still become something:
struct NeedMore {
  std::size_t at_least;  // bytes that the whole prefix must have before another look can say more; above its length now
  bool operator==(const NeedMore&) const = default;
};

// A preface is what stands before the worker's own reading: no HTTP head and no TLS client hello is looked at beyond this
// many bytes, and no PROXY header may be longer. 16 KiB is what the usual servers allow for a head (Node.js, HAProxy).
inline constexpr std::size_t kMaxPreface = 16 * 1024;

}  // namespace holdfast
