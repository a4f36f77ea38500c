#include "config/reload_plan.h"

#include <chrono>

#include <gmock/gmock.h>

#include "config/diff.h"
#include "config/options.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Config running() {
  Config config;
  config.listeners = {ListenerConfig{"main", TcpAddress{TcpAddress::Family::DualStack, {}, 8080}, ""}};
  config.pools = {PoolConfig{}, PoolConfig{}};
  config.pools[0].name = "web";
  config.pools[1].name = "chat";
  for (PoolConfig& pool : config.pools) {
    pool.command = {"./server"};
    pool.workers = 2;
  }
  return config;
}

TEST(ReloadPlan, OfTheSameConfigurationDoesNothing) {
  const ReloadPlan plan = plan_reload(running(), running());
  EXPECT_THAT(plan.applied, IsEmpty());
  EXPECT_THAT(plan.postponed, IsEmpty());
  EXPECT_THAT(plan.rolled, IsEmpty());
}

TEST(ReloadPlan, ALiveValueIsAppliedAndReplacesNobody) {
  Config wished = running();
  wished.pools[1].fleet.drain_timeout = 7s;
  wished.pools[1].workers = 5;
  const ReloadPlan plan = plan_reload(running(), wished);
  EXPECT_EQ(plan.config.pools[1].fleet.drain_timeout, 7s);
  EXPECT_EQ(plan.config.pools[1].workers, 5U);
  EXPECT_EQ(plan.applied.size(), 2U);
  EXPECT_THAT(plan.rolled, IsEmpty());
}

TEST(ReloadPlan, ANewCommandReplacesTheWorkersOfItsPool) {
  Config wished = running();
  wished.pools[0].command = {"./server-2"};
  const ReloadPlan plan = plan_reload(running(), wished);
  EXPECT_THAT(plan.rolled, ElementsAre("web"));
  EXPECT_THAT(plan.config.pools[0].command, ElementsAre("./server-2"));
  EXPECT_THAT(plan.config.pools[1].command, ElementsAre("./server"));
}

TEST(ReloadPlan, WhatNeedsANewStartIsPostponedAndTheRestApplied) {
  Config wished = running();
  wished.pools[0].intake = Intake::Capture;
  wished.pools[0].fleet.surge = 2;
  wished.listeners[0].address = TcpAddress{TcpAddress::Family::DualStack, {}, 9090};
  wished.pools.push_back(wished.pools[0]);
  wished.pools.back().name = "game";
  const ReloadPlan plan = plan_reload(running(), wished);
  EXPECT_EQ(plan.config.pools.size(), 2U);
  EXPECT_EQ(plan.config.pools[0].intake, Intake::Auto);
  EXPECT_EQ(plan.config.pools[0].fleet.surge, 2U);
  EXPECT_THAT(plan.applied, ElementsAre(HasSubstr("surge")));
  EXPECT_THAT(plan.postponed, testing::UnorderedElementsAre(HasSubstr("intake"), HasSubstr("listeners.main.address"),
                                                            HasSubstr("pool game is added")));
}

TEST(ReloadPlan, NothingThatNeedsANewStartEverChanges) {
  Config wished = running();
  wished.pools[0].plane = Plane::Steer;
  wished.pools[0].prefix = {24, 48};
  wished.hash_key = {1, 2};
  wished.name = "other";
  const ReloadPlan plan = plan_reload(running(), wished);
  EXPECT_THAT(differences(running(), plan.config), IsEmpty());
  EXPECT_EQ(plan.postponed.size(), 5U);
}

}  // namespace
}  // namespace holdfast
