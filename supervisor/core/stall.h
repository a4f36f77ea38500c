#pragma once

#include <chrono>
#include <cstdint>

#include "core/time.h"

namespace holdfast {

// Tells from the length of an accept queue whether its worker has stopped accepting: within `limit` it has become longer
// and never shorter. A worker that accepts at all makes it shorter between two samples now and then, however many
// clients come; so samples must be many within the limit (kStallSamples), and where they are not, because we ourselves had no
// CPU, the time that nobody looked counts little: the worker had none either. A queue that only stands still is that of a
// server which is busy with a long request: as long as nobody else comes there is nobody to send elsewhere.
class Stall {
 public:
  // `length`: connections that wait. Answers whether it is stalled now.
  bool on_sample(std::uint64_t length, Duration limit, TimePoint now);
  [[nodiscard]] bool is_stalled() const { return stalled_; }
  void reset() { *this = Stall(); }

 private:
  std::uint64_t last_ = 0;
  std::uint64_t shortest_ = 0;  // since it was last empty or became shorter
  Duration watched_{};          // for how long we have looked on since then
  TimePoint sampled_{};
  bool stalled_ = false;
};

inline constexpr int kStallSamples = 40;
inline constexpr int kFewestStallSamples = 10;

// The limit for a pool whose slots may be unserved for `hold_timeout`. Who wants no delay at all has it for slots without
// a worker; one that lives is busy now and then.
[[nodiscard]] constexpr Duration stall_limit(Duration hold_timeout) {
  constexpr Duration kShortest = std::chrono::milliseconds(250);
  return hold_timeout < kShortest ? kShortest : hold_timeout;
}

}  // namespace holdfast
