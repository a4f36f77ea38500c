#include "core/bus_rest.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;

TEST(BusRest, WhileClientsComeTheBusHasASixthOfTheTime) {
  EXPECT_EQ(bus_rest(100us, 0ms), 500us);
  EXPECT_EQ(bus_rest(100us, 10ms), 500us);
  EXPECT_EQ(bus_rest(0us, 0ms), 0us);
}

TEST(BusRest, WithoutThemItHasAllOfIt) {
  EXPECT_EQ(bus_rest(100us, 10ms + 1ns), 0us);
  EXPECT_EQ(bus_rest(100us, 1h), 0us);
}

TEST(BusRest, ATurnThatWasInterruptedIsNotPaidFor) { EXPECT_EQ(bus_rest(3s, 0ms), 2500us); }

}  // namespace
}  // namespace holdfast
