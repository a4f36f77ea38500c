#include "core/redis_url.h"

#include <string>

#include <gmock/gmock.h>

#include "core/fleet_order.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

TEST(RedisUrl, HasHostPortAccountAndDatabase) {
  EXPECT_EQ(*parse_redis_url("redis://cache"), (RedisUrl{.host = "cache"}));
  EXPECT_EQ(*parse_redis_url("redis://u:p%40%25@10.0.0.1:7000/3"),
            (RedisUrl{.host = "10.0.0.1", .port = 7000, .user = "u", .password = "p@%", .database = 3}));
  EXPECT_EQ(*parse_redis_url("redis://:secret@[fd00::1]:7000/"),
            (RedisUrl{.host = "fd00::1", .port = 7000, .password = "secret"}));
  EXPECT_EQ(*parse_redis_url("unix:///run/redis.sock"), (RedisUrl{.path = "/run/redis.sock"}));
}

TEST(RedisUrl, SaysWhatIsWrong) {
  for (const char* bad : {"", "cache:6379", "redis://", "redis://h:0", "redis://h:x", "redis://h/x", "redis://u@h",
                          "redis://u:%zz@h", "unix://path", "redis://[fd00::1"}) {
    const Result<RedisUrl> url = parse_redis_url(bad);
    ASSERT_FALSE(url) << bad;
    EXPECT_THAT(url.error().message(), HasSubstr("redis://")) << bad;
  }
  EXPECT_THAT(parse_redis_url("rediss://h").error().message(), HasSubstr("stunnel"));
}

TEST(RedisUrl, IsToldWithoutThePassword) {
  EXPECT_EQ(to_text(*parse_redis_url("redis://u:secret@h/2")), "redis://h:6379/2");
}

TEST(FleetOrder, KnowsTheMachinesThatWereHeardLast) {
  FleetOrder order;
  EXPECT_TRUE(order.on_message(1, 1));
  for (FleetOrder::Node node = 2; node < 10 * FleetOrder::kMaxNodes; node++) {
    EXPECT_TRUE(order.on_message(node, 1));
    order.on_told_last(1, node);
    ASSERT_LE(order.heard().size(), FleetOrder::kMaxNodes);
  }
  EXPECT_EQ(order.heard().at(1), 10 * FleetOrder::kMaxNodes - 1) << "it is heard again and again";
  EXPECT_EQ(order.missing(), 10 * FleetOrder::kMaxNodes - 2);
  EXPECT_FALSE(order.heard().contains(2));
}

TEST(FleetOrder, CountsWhatIsMissingAndRefusesWhatCameBefore) {
  FleetOrder order;
  EXPECT_TRUE(order.on_message(1, 10)) << "whatever comes first";
  EXPECT_TRUE(order.on_message(1, 11));
  EXPECT_FALSE(order.on_message(1, 11));
  EXPECT_TRUE(order.on_message(1, 15));
  EXPECT_EQ(order.missing(), 3u);
  order.on_told_last(1, 15);
  EXPECT_EQ(order.missing(), 3u);
  order.on_told_last(1, 20);
  EXPECT_EQ(order.missing(), 8u);
  order.on_told_last(2, 7);
  EXPECT_TRUE(order.on_message(2, 8));
  EXPECT_EQ(order.missing(), 8u);
}

}  // namespace
}  // namespace holdfast
