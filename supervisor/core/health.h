#pragma once

#include "core/time.h"

namespace holdfast {

// How a worker is asked whether it is well, and what its answers come to.
struct HealthPolicy {
  Duration interval = std::chrono::seconds(5);  // from the beginning of one check to that of the next
  Duration timeout = std::chrono::seconds(2);   // a check without an answer for so long has failed
  unsigned fail = 3;                            // failures in a row that make a healthy worker unhealthy
  unsigned pass = 2;                            // passes in a row that make an unhealthy one healthy
  bool operator==(const HealthPolicy&) const = default;
};

// The health of one worker, from the checks that somebody makes of it. It begins healthy: a worker that is ready has
// said so itself. One check is under way at a time; the first begins at once.
//
// on_... only record. `decide` alone decides, and answers nothing more when it is asked again at the same time;
// next_deadline is when its answer changes if nothing is reported.
class Health {
 public:
  enum class State { Healthy, Unhealthy };
  struct Decision {
    bool begin_check = false;
    bool abandon_check = false;     // its time is over: that counted as a failure
    bool became_unhealthy = false;  // and again after each further `fail` failures in a row, for who wants to try anew
    bool became_healthy = false;
    bool operator==(const Decision&) const = default;
  };

  explicit Health(TimePoint now) : next_check_(now) {}

  void on_passed();
  void on_failed();
  // The check came to nothing, and that says nothing of the worker.
  void on_void();

  [[nodiscard]] Decision decide(const HealthPolicy& policy, TimePoint now);
  // After `decide` later than its `now`; past while a result waits to be judged.
  [[nodiscard]] TimePoint next_deadline(const HealthPolicy& policy) const;

  [[nodiscard]] State state() const { return state_; }

 private:
  enum class Check { None, UnderWay, Passed, Failed };
  void judge(const HealthPolicy& policy, Decision& decision);

  State state_ = State::Healthy;
  Check check_ = Check::None;
  TimePoint next_check_;
  TimePoint begun_{};
  unsigned passes_ = 0;    // in a row
  unsigned failures_ = 0;  // in a row, since `became_unhealthy` was last said
};

}  // namespace holdfast
