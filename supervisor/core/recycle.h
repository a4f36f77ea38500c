#pragma once

#include <cstdint>
#include <optional>

#include "core/ids.h"
#include "core/time.h"

namespace holdfast {

// A number of bytes, as in "512M".
struct ByteCount {
  std::uint64_t bytes = 0;
  bool operator==(const ByteCount&) const = default;
};

// When a worker has done enough and is to be replaced by a fresh one. A limit of zero is none.
struct RecyclePolicy {
  Duration age{};                                   // since it was ready
  unsigned connections = 0;                         // that it has taken up
  ByteCount memory;                                 // resident, of its whole process group ...
  Duration memory_time = std::chrono::seconds(60);  // ... for so long without a moment below
  unsigned jitter = 10;                             // percent by which a worker's limits may be lower than these
  bool operator==(const RecyclePolicy&) const = default;
  [[nodiscard]] bool wants_anything() const { return age > Duration::zero() || connections > 0 || memory.bytes > 0; }
};

// Whether one worker is due. Its age and connections are limited by its share of the jitter, which is another one for each
// slot, so that workers that were started together and serve alike are not replaced together. (That no two are at the
// same moment is the fleet's business: Fleet::Policy::surge.)
class Recycle {
 public:
  enum class Why { Age, Connections, Memory };

  // `random` in [0, 1): where within the slot's part of the jitter it is.
  Recycle(SlotId slot, unsigned slots, double random, TimePoint ready);

  // What was seen at a moment; nothing is known of the memory where it could not be read.
  struct Sample {
    std::uint64_t connections = 0;
    std::optional<std::uint64_t> resident;
  };
  void on_sample(const RecyclePolicy& policy, const Sample& sample, TimePoint now);
  // Somebody has wished the replacement. If nothing comes of it, it is due again after a while.
  void on_asked(TimePoint now) { asked_ = now; }

  [[nodiscard]] std::optional<Why> due(const RecyclePolicy& policy, TimePoint now) const;

  // A renewal that failed is not tried at once again: the new worker would fail once more.
  static constexpr Duration kAskAgain = std::chrono::seconds(60);

 private:
  [[nodiscard]] double share(const RecyclePolicy& policy) const;

  double position_;  // in [0, 1): within the jitter
  TimePoint ready_;
  Sample last_;
  std::optional<TimePoint> over_memory_since_;
  std::optional<TimePoint> asked_;
};

}  // namespace holdfast
