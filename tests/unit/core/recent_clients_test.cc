#include "core/recent_clients.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using std::chrono::minutes;

class RecentClientsTest : public testing::Test {
 protected:
  // Clients `first` to `last` come once, each to a bucket of its own kind.
  void come(std::uint32_t first, std::uint32_t last) {
    for (std::uint32_t client = first; client < last; client++) clients_.on_client(client % kBuckets, client, now_);
  }
  [[nodiscard]] std::uint64_t seen() const {
    return moved_clients(equal_shares(1), equal_shares(1), clients_, now_).seen;
  }
  RecentClients clients_;
  TimePoint now_ = TimePoint{} + minutes(100);
};

TEST_F(RecentClientsTest, NobodyIsNone) { EXPECT_EQ(seen(), 0U); }

TEST_F(RecentClientsTest, EachCountsOnceHoweverOftenItComes) {
  for (int i = 0; i < 50; i++) come(0, 1000);
  EXPECT_NEAR(static_cast<double>(seen()), 1000, 30);
}

TEST_F(RecentClientsTest, FewAreExactAndManyNearlySo) {
  come(0, 5);
  EXPECT_EQ(seen(), 5U);
  come(5, 100'000);
  EXPECT_NEAR(static_cast<double>(seen()), 100'000, 3'000);
}

TEST_F(RecentClientsTest, MoreThanItCanTellApartAreMany) {
  come(0, 4'000'000);
  EXPECT_GT(seen(), 500'000U);
}

TEST_F(RecentClientsTest, WhoHasNotComeForTheWindowIsForgotten) {
  come(0, 1000);
  now_ += RecentClients::kWindow / 2;
  come(1000, 1100);
  EXPECT_NEAR(static_cast<double>(seen()), 1100, 40);
  now_ += RecentClients::kWindow / 2;
  EXPECT_NEAR(static_cast<double>(seen()), 100, 10);
  come(1100, 1101);
  now_ += RecentClients::kWindow;
  EXPECT_EQ(seen(), 0U);
}

TEST_F(RecentClientsTest, ThoseWhomAChangeOfSizeMovesAreTheShareOfTheirBuckets) {
  come(0, 50'000);
  const BucketTable before = equal_shares(4);
  const BucketTable after = equal_shares(5);
  const MovedClients told = moved_clients(before, after, clients_, now_);
  const double share = static_cast<double>(moved_buckets(before, after)) / kBuckets;
  EXPECT_NEAR(static_cast<double>(told.moved) / static_cast<double>(told.seen), share, 0.02);
  EXPECT_EQ(moved_clients(before, before, clients_, now_).moved, 0U);
}

}  // namespace
}  // namespace holdfast
