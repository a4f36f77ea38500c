#include "config/config_text.h"

#include <gmock/gmock.h>

#include "config/diff.h"
#include "config/values.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

Config chosen() {
  Config config;
  config.name = "site";
  config.control_path = "/run/x y/\"site\".sock";
  config.hash_key = {1, 2};
  config.backlog = 17;
  config.bus.redis = "redis://u:w@cache/2";
  config.bus.full = BusFull::Disconnect;
  config.bus.retain = {{"chat.*.said", 100}, {"**", 1}};
  config.listeners = {*parse_listener(":80", "http"), *parse_listener("unix:/run/web,mode=0660", "a.b"),
                      *parse_listener(":8080", "main")};
  config.listeners[1].pool = "api";
  PoolConfig& web = config.pools.front();
  web.name = "web";
  web.command = {"./web server", "--say=\"\\ é\n", ""};
  web.workers = 3;
  web.environment = {{"TZ", "UTC"}, {"odd.name", "a=b"}};
  web.no_restart_codes = {};
  web.fleet.drain_timeout = std::chrono::milliseconds(1500);
  PoolConfig& api = config.pools.emplace_back();
  api.name = "api";
  api.command = {"api"};
  api.overflow = Overflow::Wait;
  return config;
}

TEST(ConfigText, GivesTheSameConfigurationAgain) {
  const Result<Config> read = config_of_text(config_text(chosen()));
  ASSERT_TRUE(read) << read.error().message() << "\n" << config_text(chosen());
  EXPECT_THAT(differences(chosen(), *read), IsEmpty());
  EXPECT_EQ(config_text(*read), config_text(chosen()));
}

// "main" is what a pool is called that nobody has named: as the name of another one than the first it is no default.
TEST(ConfigText, SaysWhoseListenerItIs) {
  Config config = chosen();
  config.pools[1].name = "main";
  config.listeners[1].pool = "main";
  const Result<Config> read = config_of_text(config_text(config));
  ASSERT_TRUE(read) << read.error().message() << "\n" << config_text(config);
  EXPECT_THAT(differences(config, *read), IsEmpty());
}

TEST(ConfigText, SaysNothingOfDefaults) {
  EXPECT_EQ(config_text(chosen()).find("queue-limit"), std::string::npos);
  EXPECT_THAT(config_text(chosen()), HasSubstr("drain-timeout = \"1500ms\"\n"));
}

TEST(ConfigText, OfANewerProgramMayHoldWhatThisOneDoesNotKnow) {
  const Result<Config> read = config_of_text(config_text(chosen()) + "spin = 3\n");
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message(), HasSubstr("spin"));
}

}  // namespace
}  // namespace holdfast
