#include "config/options.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

// For each kind of value one that is no option's default, in the form in which it is told.
const std::map<std::string, Value> kSamples = {
    {"DIALECT", Scalar{"socket.io"}},
    {"WHAT", Scalar{"session"}},
    {"SIGN", Scalar{"message"}},
    {"WORD", Scalar{"message"}},
    {"WHERE", Scalar{"relay"}},
    {"NAME", Scalar{"other"}},
    {"PATH", Scalar{"/run/other.sock"}},
    {"DIR", Scalar{"/other"}},
    {"LEVEL", Scalar{"debug"}},
    {"N", Scalar{"7", Scalar::Form::Number}},
    {"BITS", Scalar{"24", Scalar::Form::Number}},
    {"HEX", Scalar{"0123456789abcdef"}},
    {"TIME", Scalar{"1234ms"}},
    {"POLICY", Scalar{"refuse"}},
    {"LIST", std::vector{Scalar{"3", Scalar::Form::Number}, Scalar{"4", Scalar::Form::Number}}},
    {"COMMAND", std::vector{Scalar{"./other"}, Scalar{"-v"}}},
    {"ADDRESS", Scalar{"unix:/run/x.sock,mode=0640,user=www"}},
    {"TABLE", Scalar{"other"}},
    {"INTAKE", Scalar{"capture"}},
    {"PLANE", Scalar{"steer"}},
    {"WHO", Scalar{"systemd"}},
    {"CPUS", Scalar{"0,2"}},
    {"URL", Scalar{"redis://user:word@host:1234/5"}},
    {"FULL", Scalar{"disconnect"}},
    {"PATTERNS", std::vector{Scalar{"chat.*.said"}, Scalar{"orders.**"}}},
    {"SCOPE", Scalar{"fleet"}},
    {"COUNTS", Scalar{"9", Scalar::Form::Number}},
    {"TARGET", Scalar{"/other"}},
    {"ACTION", Scalar{"restart"}},
    {"SIZE", Scalar{"64M"}},
    {"FOR", Scalar{"connections"}},
    {"SIGNAL", Scalar{"QUIT"}},
    {"ORDER", Scalar{"one-by-one"}},
    {"GROUP", Scalar{"all"}},
    {"MASK", Scalar{"0027"}},
    {"LIMITS", Scalar{"nofile=1024:65536,core=0"}},
    {"WHEN", Scalar{"required"}},
    {"ROUTES", std::vector{Scalar{"{ when = { websocket = true }, pool = \"other\" }", Scalar::Form::Table}}},
    {"KEYS", std::vector{Scalar{"cookie(sid)"}, Scalar{"remote-address"}}},
    {"STRATEGY", Scalar{"crc32"}},
    {"PERCENT", Scalar{"150", Scalar::Form::Number}},
    {"FILE", Scalar{"/other"}},
    {"HOW", Scalar{"dry-run"}},
    {"NAMES", std::vector{Scalar{"max-connections"}, Scalar{"max-slot-connections"}}},
    {"FORM", Scalar{"http"}},
    {"MODE", Scalar{"advanced"}},
};

const Place kPlace = {0, "VARIABLE"};

Config default_config() {
  Config config;
  config.listeners.emplace_back();
  return config;
}

const Option& option(const std::string& flag) {
  const auto found = std::find_if(options().begin(), options().end(), [&](const Option& o) { return o.flag == flag; });
  if (found == options().end()) {
    ADD_FAILURE() << "there is no option " << flag;
    return options().front();
  }
  return *found;
}

Outcome set(const std::string& flag, Config& config, const std::string& text) {
  return option(flag).set(config, {}, Scalar{text});
}

// Every option's value.
using Texts = std::map<std::pair<Scope, std::string>, std::string>;
Texts texts(const Config& config) {
  Texts texts;
  for (const Option& option : options()) texts[{option.scope, option.key}] = to_toml(option.get(config, kPlace));
  return texts;
}

// A configuration of which every option has another value than its default.
Config changed_config() {
  Config config = default_config();
  for (const Option& option : options()) {
    EXPECT_TRUE(option.set(config, kPlace, kSamples.at(option.value_name))) << option.key;
  }
  return config;
}

TEST(Options, EachHasASampleInTheseTests) {
  for (const Option& option : options()) {
    ASSERT_TRUE(kSamples.contains(option.value_name)) << option.key << " " << option.value_name;
    EXPECT_NE(option.get(default_config(), kPlace), kSamples.at(option.value_name)) << option.key;
  }
}

TEST(Options, EachValueIsReadBackAsItself) {
  for (const Option& option : options()) {
    for (const Value& value : {option.get(default_config(), kPlace), kSamples.at(option.value_name)}) {
      if (option.key == "command" && std::get<std::vector<Scalar>>(value).empty()) continue;  // there is no default
      if (option.key == "address" && std::get<Scalar>(value).text == ":0") continue;
      Config config = changed_config();
      const Outcome outcome = option.set(config, kPlace, value);
      EXPECT_TRUE(outcome) << option.key << " " << to_toml(value) << ": " << outcome.error().message();
      EXPECT_EQ(option.get(config, kPlace), value) << option.key;
    }
  }
}

TEST(Options, EachWithAFlagTakesItsDefaultAsTheCommandLineHasIt) {
  for (const Option& option : options()) {
    if (option.flag.empty()) continue;
    const Value value = option.get(default_config(), kPlace);
    Config config = changed_config();
    ASSERT_TRUE(option.set(config, kPlace, Scalar{to_plain(value)})) << option.key;
    EXPECT_EQ(option.get(config, kPlace), value) << option.key;
  }
}

TEST(Options, EachChangesItsOwnMemberAndNoOther) {
  for (const Option& option : options()) {
    Config config = default_config();
    ASSERT_TRUE(option.set(config, kPlace, kSamples.at(option.value_name))) << option.key;
    Texts expected = texts(default_config());
    expected[{option.scope, option.key}] = to_toml(kSamples.at(option.value_name));
    EXPECT_EQ(texts(config), expected) << option.key;
  }
}

TEST(Options, EachChangesThePoolOrListenerThatIsMeantAndNoOther) {
  for (const Option& option : options()) {
    if (option.scope == Scope::Supervisor || option.scope == Scope::Bus) continue;
    Config config = default_config();
    config.pools.emplace_back();
    config.listeners.emplace_back();
    const Place second = {1, kPlace.entry};
    ASSERT_TRUE(option.set(config, second, kSamples.at(option.value_name))) << option.key;
    EXPECT_EQ(option.get(config, second), kSamples.at(option.value_name)) << option.key;
    EXPECT_EQ(option.get(config, kPlace), option.get(default_config(), kPlace)) << option.key;
  }
}

TEST(Options, OfASharedKindReachTheMembersThatTheyAreNamedFor) {
  Config config;
  ASSERT_TRUE(set("--start-timeout", config, "1s"));
  ASSERT_TRUE(set("--heartbeat-timeout", config, "2s"));
  ASSERT_TRUE(set("--drain-timeout", config, "3s"));
  ASSERT_TRUE(set("--kill-timeout", config, "4s"));
  ASSERT_TRUE(set("--stop-timeout", config, "5s"));
  ASSERT_TRUE(set("--hold-timeout", config, "6s"));
  ASSERT_TRUE(set("--stable-time", config, "7s"));
  ASSERT_TRUE(set("--canary", config, "8s"));
  ASSERT_TRUE(set("--restart-delay", config, "9s"));
  ASSERT_TRUE(set("--restart-delay-step", config, "10s"));
  ASSERT_TRUE(set("--restart-delay-max", config, "11s"));
  ASSERT_TRUE(set("--start-limit", config, "12"));
  ASSERT_TRUE(set("--start-limit-interval", config, "13s"));
  ASSERT_TRUE(set("--rest", config, "14s"));
  ASSERT_TRUE(set("--surge", config, "15"));
  Fleet::Policy expected;
  expected.start_timeout = 1s;
  expected.heartbeat_timeout = 2s;
  expected.drain_timeout = 3s;
  expected.kill_timeout = 4s;
  expected.stop_timeout = 5s;
  expected.hold_timeout = 6s;
  expected.stable_time = 7s;
  expected.canary = 8s;
  expected.backoff.first = 9s;
  expected.backoff.step = 10s;
  expected.backoff.limit = 11s;
  expected.start_limit = {12, 13s, 14s};
  expected.surge = 15;
  EXPECT_EQ(config.pools.front().fleet, expected);

  ASSERT_TRUE(set("--queue-limit", config, "16"));
  ASSERT_TRUE(set("--hold-limit", config, "17"));
  ASSERT_TRUE(set("--prefix-v4", config, "18"));
  ASSERT_TRUE(set("--prefix-v6", config, "19"));
  ASSERT_TRUE(set("--name", config, "supervisor"));
  ASSERT_TRUE(set("--workers", config, "20"));
  ASSERT_TRUE(set("--control", config, "/control"));
  ASSERT_TRUE(set("--working-directory", config, "/directory"));
  EXPECT_EQ(config.pools.front().queue_limit, 16U);
  EXPECT_EQ(config.pools.front().hold_limit, 17U);
  EXPECT_EQ(config.pools.front().prefix, (KeyPrefix{18, 19}));
  EXPECT_EQ(config.name, "supervisor");
  EXPECT_EQ(config.pools.front().workers, 20U);
  EXPECT_EQ(config.control_path, "/control");
  EXPECT_EQ(config.pools.front().working_directory, "/directory");
}

TEST(Options, EachThatIsNoFreeTextRefusesJunkAndKeepsItsValue) {
  const std::set<std::string> free_texts = {"NAME", "PATH", "DIR", "TABLE", "FILE", "TARGET"};
  for (const Option& option : options()) {
    if (free_texts.contains(option.value_name)) continue;
    for (const std::string junk : {"", "junk!", "7,junk"}) {
      if (junk.empty() && option.value_name == "URL") continue;  // it is none
      Config config = changed_config();
      const Outcome outcome = option.set(config, kPlace, Scalar{junk});
      ASSERT_FALSE(outcome) << option.key << " '" << junk << "'";
      EXPECT_THAT(outcome.error().message(), HasSubstr(junk)) << option.key;
      EXPECT_EQ(texts(config), texts(changed_config())) << option.key;
    }
  }
}

TEST(Options, NoneTakesAZeroByteOrATableOfSeveralWhereOneIsWanted) {
  for (const Option& option : options()) {
    Config config = changed_config();
    EXPECT_FALSE(option.set(config, kPlace, Scalar{std::string("a\0b", 3)})) << option.key;
    EXPECT_FALSE(option.set(config, kPlace, std::vector{Scalar{"1.5", Scalar::Form::Other}})) << option.key;
    EXPECT_EQ(texts(config), texts(changed_config())) << option.key;
  }
}

TEST(Options, AutoIsOneWorkerForEachCpu) {
  Config config;
  ASSERT_TRUE(set("--workers", config, "7"));
  EXPECT_EQ(config.pools.front().workers, 7U);
  ASSERT_TRUE(set("--workers", config, "auto"));
  EXPECT_EQ(config.pools.front().workers, 0U);
  EXPECT_FALSE(set("--workers", config, "0"));
}

TEST(Options, TheNameOfAFleetCannotEndWithinAChannelsName) {
  Config config;
  ASSERT_TRUE(set("--bus-fleet", config, "shop-1.eu_west"));
  for (const std::string text : {"", "shop:1", "shop 1", "shop*", "caf\xc3\xa9"}) {
    const Outcome outcome = set("--bus-fleet", config, text);
    ASSERT_FALSE(outcome) << text;
    EXPECT_THAT(outcome.error().message(), HasSubstr("'" + text + "'"));
  }
  EXPECT_EQ(config.bus.fleet, "shop-1.eu_west");
}

TEST(Options, FlagsAndTheirWordsAreWhatTheHelpNeeds) {
  std::set<std::pair<Scope, std::string>> keys;
  std::set<std::string> flags;
  for (const Option& option : options()) {
    EXPECT_TRUE(keys.emplace(option.scope, option.key).second) << option.key << " is there twice";
    EXPECT_EQ(option.key.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-"), std::string::npos) << option.key;
    EXPECT_EQ(find_option(option.scope, option.key), &option);
    EXPECT_FALSE(option.group.empty()) << option.key;
    EXPECT_FALSE(option.help.empty()) << option.key;
    if (option.flag.empty()) continue;
    EXPECT_TRUE(flags.insert(option.flag).second) << option.flag << " is there twice";
    EXPECT_EQ(option.flag, (option.scope == Scope::Bus ? "--bus-" : "--") + option.key);
  }
  EXPECT_EQ(find_option(Scope::Pool, "backlog"), nullptr);
}

TEST(Options, TheEnvironmentNameIsTheFlagInCapitals) {
  EXPECT_EQ(environment_name("--start-timeout"), "HOLDFAST_START_TIMEOUT");
  EXPECT_EQ(environment_name("--prefix-v4"), "HOLDFAST_PREFIX_V4");
  EXPECT_EQ(environment_name("--name"), "HOLDFAST_NAME");
  EXPECT_EQ(environment_name("--az-09"), "HOLDFAST_AZ_09");  // of every kind of letter, digit and sign
  std::set<std::string> names;
  for (const Option& option : options()) {
    if (option.flag.empty()) continue;
    EXPECT_TRUE(names.insert(environment_name(option.flag)).second) << option.flag;
  }
}

TEST(Options, TheSettingsOfAConfigurationAreAllOfItsValues) {
  Config config = default_config();
  config.listeners.front().name = "http";
  config.pools.front().environment = {{"A", "1"}, {"B", "2"}};
  config.pools.emplace_back().name = "second";
  std::set<std::string> paths;
  for (const Setting& setting : settings_of(config)) EXPECT_TRUE(paths.insert(to_text(setting.path)).second);
  for (const char* path : {"supervisor.backlog", "listeners.http.address", "pools.main.workers", "pools.second.workers",
                           "pools.main.environment.A", "pools.main.environment.B"}) {
    EXPECT_TRUE(paths.contains(path)) << path;
  }
  EXPECT_FALSE(paths.contains("pools.main.environment"));
}

}  // namespace
}  // namespace holdfast
