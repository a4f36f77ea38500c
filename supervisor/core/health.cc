#include "core/health.h"

#include <algorithm>

namespace holdfast {

void Health::on_passed() {
  if (check_ == Check::UnderWay) check_ = Check::Passed;
}

void Health::on_failed() {
  if (check_ == Check::UnderWay) check_ = Check::Failed;
}

void Health::on_void() {
  if (check_ == Check::UnderWay) check_ = Check::None;
}

Health::Decision Health::decide(const HealthPolicy& policy, TimePoint now) {
  Decision decision;
  if (check_ == Check::UnderWay && now >= begun_ + policy.timeout) {
    decision.abandon_check = true;
    check_ = Check::Failed;
  }
  judge(policy, decision);
  // An interval that was slept through is one check late, not many at once.
  if (check_ == Check::None && now >= next_check_) {
    decision.begin_check = true;
    check_ = Check::UnderWay;
    begun_ = now;
    next_check_ = now + policy.interval;
  }
  return decision;
}

TimePoint Health::next_deadline(const HealthPolicy& policy) const {
  if (check_ == Check::UnderWay) return begun_ + policy.timeout;
  return check_ == Check::None ? next_check_ : begun_;
}

void Health::judge(const HealthPolicy& policy, Decision& decision) {
  if (check_ != Check::Passed && check_ != Check::Failed) return;
  const bool passed = check_ == Check::Passed;
  check_ = Check::None;
  passes_ = passed ? passes_ + 1 : 0;
  failures_ = passed ? 0 : failures_ + 1;
  if (failures_ >= std::max(policy.fail, 1U)) {
    failures_ = 0;
    state_ = State::Unhealthy;
    decision.became_unhealthy = true;
  } else if (state_ == State::Unhealthy && passes_ >= std::max(policy.pass, 1U)) {
    state_ = State::Healthy;
    decision.became_healthy = true;
  }
}

}  // namespace holdfast
