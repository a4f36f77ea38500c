#include "core/recent_clients.h"

#include <algorithm>
#include <cmath>

#include "core/placement_key.h"

namespace holdfast {

void RecentClients::on_client(unsigned bucket, std::uint32_t identity, TimePoint now) {
  if (now - halves_[0].begin >= kWindow / 2) {
    std::swap(halves_[0], halves_[1]);
    halves_[0].seen.fill({});
    halves_[0].begin = now;
  }
  halves_[0].seen[bucket].set(mix(identity) % kBits);
}

double RecentClients::clients(unsigned bucket, TimePoint now) const {
  std::bitset<kBits> seen;
  for (const Half& half : halves_) {
    if (now - half.begin < kWindow) seen |= half.seen[bucket];
  }
  const auto clear = static_cast<double>(std::max<std::size_t>(kBits - seen.count(), 1));
  return -static_cast<double>(kBits) * std::log(clear / kBits);
}

MovedClients moved_clients(const BucketTable& before, const BucketTable& after, const RecentClients& clients,
                           TimePoint now) {
  double moved = 0;
  double seen = 0;
  for (unsigned bucket = 0; bucket < kBuckets; bucket++) {
    const double here = clients.clients(bucket, now);
    seen += here;
    if (before.home(bucket) != after.home(bucket)) moved += here;
  }
  return {static_cast<std::uint64_t>(std::lround(moved)), static_cast<std::uint64_t>(std::lround(seen))};
}

}  // namespace holdfast
