// The steer plane of a pool, without workers: where the kernel puts clients when the supervisor says that it does.
#include "steerer.h"

#include <gtest/gtest.h>

#include <array>

#include "component/steer_fixtures.h"

namespace holdfast {
namespace {

TEST(SteererTest, CatchingUpTellsTheKernelWhatIsKnown) {
  constexpr HashKey kKey{1, 2};
  constexpr std::array<std::uint32_t, 2> kWeights = {1, 1};
  Loop loop;
  PoolConfig pool;
  pool.workers = 2;
  const BucketTable table(kWeights);
  Dispatcher dispatcher(loop, pool, kKey, table);
  Steerer steerer(loop, dispatcher, pool, kKey, [](SlotId, bool) {});
  Result<ListeningSocket> control =
      steerer.open(ListenerId{0}, "main", *parse_listen_address("127.0.0.1:0"), 16, Sibling::None);
  if (!control && Steerer::is_steering_refused(control.error())) GTEST_SKIP() << control.error().message();
  ASSERT_TRUE(control) << control.error().message();
  const std::uint16_t port = std::get<TcpAddress>(control->bound).port;
  dispatcher.add_listener("main", *std::move(control));
  steerer.start();
  const SlotId home{0};
  std::uint32_t number = 0;
  while (table.home(bucket_of(hash_address(loopback_client(number), pool.prefix, kKey))) != home) number++;

  const UniqueFd before = connect_from(loopback_client(number), port);
  ASSERT_TRUE(before);
  EXPECT_EQ(steerer.queued(home), 1U);
  dispatcher.set_state(home, Dispatcher::SlotState::Lent);
  steerer.set_lent(home, true);
  steerer.catch_up();
  const UniqueFd after = connect_from(loopback_client(number), port);
  ASSERT_TRUE(after);
  EXPECT_EQ(steerer.queued(home), 1U);
  EXPECT_EQ(steerer.queued(SlotId{1}), 1U);
  steerer.close();
  dispatcher.close_listeners();
}

}  // namespace
}  // namespace holdfast
