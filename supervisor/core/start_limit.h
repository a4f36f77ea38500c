#pragma once

#include <deque>
#include <utility>

#include "core/time.h"

namespace holdfast {

struct StartLimitPolicy {
  unsigned failures = 5;                         // this many failures ... (0: no limit)
  Duration interval = std::chrono::seconds(30);  // ... within this time, and the slot rests
  Duration rest = std::chrono::seconds(30);      // before one probe is started; a probe that fails rests again
  bool operator==(const StartLimitPolicy&) const = default;
};

// Remembers when a slot's workers failed, to tell a crash now and then from a crash loop.
class StartLimit {
 public:
  StartLimit() = default;
  // As another one was that remembered these, oldest first.
  explicit StartLimit(std::deque<TimePoint> failures) : failures_(std::move(failures)) {}
  [[nodiscard]] const std::deque<TimePoint>& failures() const { return failures_; }

  // Records a failure; answers whether the limit is reached now. Forgets what is older than the interval.
  [[nodiscard]] bool on_failure(const StartLimitPolicy& policy, TimePoint now);
  void clear() { failures_.clear(); }

 private:
  std::deque<TimePoint> failures_;  // never longer than policy.failures
};

}  // namespace holdfast
