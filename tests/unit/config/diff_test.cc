#include "config/diff.h"

#include <functional>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "config/values.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Config two_pools() {
  Config config;
  config.listeners = {*parse_listener(":80", "http"), *parse_listener(":81", "api")};
  config.listeners[1].pool = "api";
  config.pools.front().name = "web";
  config.pools.front().command = {"./web"};
  config.pools.emplace_back().name = "api";
  return config;
}

std::vector<std::string> changes_after(const std::function<void(Config&)>& change) {
  Config after = two_pools();
  change(after);
  std::vector<std::string> texts;
  for (const Change& each : differences(two_pools(), after)) texts.push_back(to_text(each));
  return texts;
}

TEST(Differences, OfTheSameAreNone) {
  EXPECT_THAT(changes_after([](Config&) {}), IsEmpty());
  EXPECT_THAT(changes_after([](Config& c) { c.listeners[0].pool = "web"; }),
              IsEmpty());  // it was the first one's anyway
}

TEST(Differences, TellEachValueWithWhatItTakes) {
  EXPECT_THAT(changes_after([](Config& c) { c.pools[1].workers = 3; }),
              ElementsAre("pools.api.workers: \"auto\" -> 3 (takes effect at once)"));
  EXPECT_THAT(
      changes_after([](Config& c) {
        c.pools[0].command = {"./web", "-v"};
      }),
      ElementsAre("pools.web.command: [\"./web\"] -> [\"./web\", \"-v\"] (takes effect in new workers: they are "
                  "replaced slot by slot)"));
  EXPECT_THAT(changes_after([](Config& c) { c.name = "x"; }),
              ElementsAre("supervisor.name: \"\" -> \"x\" (takes effect when the supervisor is started anew)"));
  EXPECT_THAT(
      changes_after([](Config& c) { c.listeners[0].address = *parse_listen_address(":90"); }),
      ElementsAre(
          "listeners.http.address: \":80\" -> \":90\" (takes effect in new workers: they are replaced slot by slot)"));
  EXPECT_THAT(
      changes_after([](Config& c) { c.listeners[0].pool = "api"; }),
      ElementsAre("listeners.http.pool: \"web\" -> \"api\" (takes effect when the supervisor is started anew)"));
}

TEST(Differences, TellEachVariableOfAnEnvironment) {
  Config before = two_pools();
  before.pools[0].environment = {{"A", "1"}, {"B", "2"}, {"C", "3"}};
  Config after = before;
  after.pools[0].environment = {{"A", "1"}, {"B", "3"}, {"D", "4"}};
  const std::vector<Change> changes = differences(before, after);
  const auto of = [](const char* name, const char* was, const char* is) {
    return Change{Change::Kind::Changed, KeyPath{Scope::Pool, "web", "environment", name}, Effect::RollWorkers, was,
                  is};
  };
  EXPECT_THAT(changes, ElementsAre(of("B", "\"2\"", "\"3\""), of("C", "\"3\"", ""), of("D", "", "\"4\"")));
}

TEST(Differences, TellPoolsAndListenersThatComeAndGo) {
  EXPECT_THAT(
      changes_after([](Config& c) {
        c.name = "x";
        c.pools[1].name = "new";
        c.listeners.pop_back();
        c.listeners.push_back(*parse_listener(":90", "more"));
      }),
      ElementsAre("supervisor.name: \"\" -> \"x\" (takes effect when the supervisor is started anew)",
                  "listener api is removed", "listener more is added", "pool api is removed", "pool new is added"));
}

TEST(Differences, KnowNoOrderOfListeners) {
  EXPECT_THAT(changes_after([](Config& c) { std::swap(c.listeners[0], c.listeners[1]); }), IsEmpty());
}

}  // namespace
}  // namespace holdfast
