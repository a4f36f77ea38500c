#pragma once

#include <array>
#include <bitset>
#include <chrono>
#include <cstdint>

#include "core/bucket_table.h"
#include "core/time.h"

namespace holdfast {

// How many different clients each bucket has had of late, roughly: what a change of size would mean to people, and not to
// buckets. By linear counting (Whang, Vander-Zanden, Taylor 1990): each client sets one bit of its bucket, and the bits that are
// still clear tell how many there were, to some percent over all buckets together. 32 KiB, whatever comes; a bucket that
// has had more than some thousand counts as that.
class RecentClients {
 public:
  // Clients count for between half of this time and the whole of it.
  static constexpr Duration kWindow = std::chrono::minutes(10);

  // `identity`: a hash of what tells the clients of a bucket apart.
  void on_client(unsigned bucket, std::uint32_t identity, TimePoint now);
  [[nodiscard]] double clients(unsigned bucket, TimePoint now) const;

 private:
  static constexpr std::size_t kBits = 256;
  struct Half {
    TimePoint begin{};
    std::array<std::bitset<kBits>, kBuckets> seen{};
  };
  std::array<Half, 2> halves_{};  // the present one, and the one before
};

// How many clients of late there were, and how many of them have another home in `after` than in `before`.
struct MovedClients {
  std::uint64_t moved = 0;
  std::uint64_t seen = 0;
};
[[nodiscard]] MovedClients moved_clients(const BucketTable& before, const BucketTable& after,
                                         const RecentClients& clients, TimePoint now);

}  // namespace holdfast
