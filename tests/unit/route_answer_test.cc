#include "wire/route_answer.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(RouteAnswer, ComesBackFromItsJsonAsItWas) {
  const RouteAnswer answer{"203.0.113.7", "203.0.113.7/32", 0x9c1f03aaU, 312, 512, "web", 1, 2, {2, 1, 0}};
  const std::string text = to_json(answer);
  EXPECT_EQ(
      text,
      R"({"address":"203.0.113.7","key":"203.0.113.7/32","hash":2619278250,"bucket":312,"buckets":512,)"
      R"("pool":"web","slot":1,"home":2,"preference":[2,1,0],"decided_by":"bucket","placement":"rendezvous",)"
      R"("key_name":"remote-address","listener":"","address_from":"","route":"","routes":0,"missing":"","refused":"",)"
      R"("limits":[],"weight":1,"holder":null})");
  const Result<RouteAnswer> back = parse_route_answer(text);
  ASSERT_TRUE(back) << back.error().message();
  EXPECT_EQ(to_json(*back), text);
}

TEST(RouteAnswer, SaysWhenNoSlotIsAvailable) {
  RouteAnswer answer;
  answer.preference = {0};
  const Result<RouteAnswer> back = parse_route_answer(to_json(answer));
  ASSERT_TRUE(back);
  EXPECT_FALSE(back->slot);
}

TEST(RouteAnswer, RefusesWhatIsNotOne) {
  EXPECT_FALSE(parse_route_answer("nonsense"));
  EXPECT_FALSE(parse_route_answer(R"({"preference":[1,"2"]})"));
  EXPECT_FALSE(parse_route_answer(R"({"hash":4294967296})"));
}

}  // namespace
}  // namespace holdfast
