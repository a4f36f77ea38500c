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

TcpAddress port(std::uint16_t number) { return {TcpAddress::Family::DualStack, {}, number}; }

std::vector<std::string> names_of(const std::vector<ListenerConfig>& listeners) {
  std::vector<std::string> names;
  for (const ListenerConfig& listener : listeners) names.push_back(listener.name + " of " + listener.pool);
  return names;
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
  const ReloadPlan plan = plan_reload(running(), wished);
  EXPECT_EQ(plan.config.pools[0].intake, Intake::Auto);
  EXPECT_EQ(plan.config.pools[0].fleet.surge, 2U);
  EXPECT_THAT(plan.applied, ElementsAre(HasSubstr("surge")));
  EXPECT_THAT(plan.postponed, ElementsAre(HasSubstr("intake")));
}

TEST(ReloadPlan, NothingThatNeedsANewStartEverChanges) {
  Config wished = running();
  wished.pools[0].plane = Plane::Steer;
  wished.listeners[0].pool = "chat";
  wished.name = "other";
  const ReloadPlan plan = plan_reload(running(), wished);
  EXPECT_THAT(differences(running(), plan.config), IsEmpty());
  EXPECT_EQ(plan.postponed.size(), 3U);
  EXPECT_THAT(plan.opened, IsEmpty());
  EXPECT_THAT(plan.closed, IsEmpty());
}

TEST(ReloadPlan, ListenersComeAndGoAndAreBoundAnewWhereTheyMove) {
  Config before = running();
  before.listeners.push_back({"old", TcpAddress{TcpAddress::Family::V4, {}, 1}, "chat"});
  Config wished = running();
  wished.listeners[0].address = port(9090);
  wished.listeners.push_back({"new", port(2), "chat"});
  const ReloadPlan plan = plan_reload(before, wished);
  EXPECT_THAT(names_of(plan.opened), ElementsAre("main of web", "new of chat"));
  EXPECT_THAT(names_of(plan.closed), ElementsAre("old of chat", "main of web"));
  EXPECT_EQ(plan.opened[0].address, ListenAddress(port(9090)));
  EXPECT_EQ(plan.closed[1].address, ListenAddress(port(8080)));
  EXPECT_THAT(plan.postponed, IsEmpty());
  EXPECT_THAT(differences(wished, plan.config), IsEmpty());
}

TEST(ReloadPlan, PoolsComeAndGoWithTheirListeners) {
  Config before = running();
  before.listeners.push_back({"talk", port(1), "chat"});
  Config wished = before;
  wished.pools[1].name = "game";
  wished.listeners[1] = {"play", port(2), "game"};
  const ReloadPlan plan = plan_reload(before, wished);
  EXPECT_THAT(plan.started, ElementsAre("game"));
  EXPECT_THAT(plan.stopped, ElementsAre("chat"));
  EXPECT_THAT(names_of(plan.opened), ElementsAre("play of game"));
  EXPECT_THAT(plan.closed, IsEmpty()) << "it goes with its pool";
  EXPECT_THAT(plan.rolled, IsEmpty());
}

TEST(ReloadPlan, AListenerLeavesAPoolThatGoes) {
  Config before = running();
  before.listeners[0].pool = "chat";
  Config wished = running();
  wished.pools.pop_back();
  const ReloadPlan plan = plan_reload(before, wished);
  EXPECT_THAT(names_of(plan.opened), ElementsAre("main of web"));
  EXPECT_THAT(plan.postponed, IsEmpty());
}

TEST(ReloadPlan, WhatFailedIsTakenBackForItsPoolAlone) {
  Config before = running();
  before.listeners.push_back({"talk", port(1), "chat"});
  Config wished = before;
  wished.pools[0].command = {"./server-2"};
  wished.pools[1].command = {"./chat-2"};
  wished.listeners[1].address = port(2);
  wished.listeners.push_back({"more", port(3), "chat"});
  wished.pools.push_back(wished.pools[0]);
  wished.pools.back().name = "game";
  const ReloadPlan plan = plan_reload(before, wished);
  const Config without_chat = without_change_of("chat", plan.config, before);
  EXPECT_THAT(without_chat.pools[1].command, ElementsAre("./server"));
  EXPECT_THAT(without_chat.pools[0].command, ElementsAre("./server-2"));
  EXPECT_THAT(names_of(without_chat.listeners), ElementsAre("main of web", "talk of chat"));
  EXPECT_EQ(without_chat.listeners[1].address, ListenAddress(port(1)));
  const Config without_game = without_change_of("game", plan.config, before);
  EXPECT_EQ(without_game.pools.size(), 2U);
  EXPECT_EQ(without_game.listeners.size(), 3U);
  Config without_old = before;
  without_old.pools.pop_back();
  without_old.listeners.pop_back();
  EXPECT_THAT(differences(before, without_change_of("chat", without_old, before)), IsEmpty()) << "it stays after all";
}

}  // namespace
}  // namespace holdfast
