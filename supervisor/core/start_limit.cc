#include "core/start_limit.h"

namespace holdfast {

bool StartLimit::on_failure(const StartLimitPolicy& policy, TimePoint now) {
  failures_.push_back(now);
  while (failures_.size() > policy.failures) failures_.pop_front();
  while (!failures_.empty() && now - failures_.front() > policy.interval) failures_.pop_front();
  return policy.failures != 0 && failures_.size() == policy.failures;
}

}  // namespace holdfast
