#include "core/recycle.h"

#include <algorithm>

namespace holdfast {

Recycle::Recycle(SlotId slot, unsigned slots, double random, TimePoint ready)
    : position_((slot.value % std::max(slots, 1U) + random) / std::max(slots, 1U)), ready_(ready) {}

void Recycle::on_sample(const RecyclePolicy& policy, const Sample& sample, TimePoint now) {
  last_ = sample;
  const double limit = share(policy) * static_cast<double>(policy.memory.bytes);
  const bool over = policy.memory.bytes > 0 && sample.resident && static_cast<double>(*sample.resident) > limit;
  if (!over) {
    over_memory_since_.reset();
  } else if (!over_memory_since_) {
    over_memory_since_ = now;
  }
}

std::optional<Recycle::Why> Recycle::due(const RecyclePolicy& policy, TimePoint now) const {
  if (asked_ && now < *asked_ + kAskAgain) return std::nullopt;
  const double part = share(policy);
  const auto lowered = [part](auto limit) { return part * static_cast<double>(limit); };
  if (over_memory_since_ && now >= *over_memory_since_ + policy.memory_time) return Why::Memory;
  const double age = static_cast<double>((now - ready_).count());
  if (policy.age > Duration::zero() && age >= lowered(policy.age.count())) return Why::Age;
  const double connections = static_cast<double>(last_.connections);
  if (policy.connections > 0 && connections >= lowered(policy.connections)) return Why::Connections;
  return std::nullopt;
}

double Recycle::share(const RecyclePolicy& policy) const {
  return 1.0 - position_ * std::min(policy.jitter, 100U) / 100.0;
}

}  // namespace holdfast
