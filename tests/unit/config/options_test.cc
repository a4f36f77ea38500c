#include "config/options.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gmock/gmock.h>

#include "config/nearest.h"
#include "config/values.h"
#include "core/bucket_table.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// For each kind of value a text that is no option's default, in the form in which it is printed.
const std::map<std::string, std::string> kSamples = {
    {"NAME", "other"},     {"PATH", "/run/other.sock"}, {"DIR", "/other"},  {"LEVEL", "debug"},   {"N", "7"},
    {"BITS", "24"},        {"HEX", "0123456789abcdef"}, {"TIME", "1234ms"}, {"POLICY", "refuse"}, {"LIST", "3,4"},
    {"INTAKE", "capture"}, {"PLANE", "steer"}, {"CPUS", "0,2"},
};

const Option& option(const std::string& flag) {
  const auto found = std::find_if(options().begin(), options().end(), [&](const Option& o) { return o.flag == flag; });
  if (found == options().end()) {
    ADD_FAILURE() << "there is no option " << flag;
    return options().front();
  }
  return *found;
}

// Every option's value as text.
std::map<std::string, std::string> texts(const Config& config) {
  std::map<std::string, std::string> texts;
  for (const Option& option : options()) texts[option.flag] = option.get(config);
  return texts;
}

// A configuration of which every option has another value than its default.
Config changed_config() {
  Config config;
  for (const Option& option : options()) {
    EXPECT_TRUE(option.set(config, kSamples.at(option.value_name))) << option.flag;
  }
  return config;
}

Config valid_config() {
  Config config;
  config.listeners = {*parse_listener(":8080", "main"), *parse_listener("unix:@app", "app")};
  config.pools.front().command = {"./server"};
  return config;
}

// The mistakes of a valid configuration in which one thing was changed.
std::vector<std::string> mistakes_after(const std::function<void(Config&)>& change) {
  Config config = valid_config();
  change(config);
  return find_mistakes(config);
}

TEST(Options, EachHasASampleInTheseTests) {
  for (const Option& option : options()) {
    ASSERT_TRUE(kSamples.contains(option.value_name)) << option.flag << " " << option.value_name;
    EXPECT_NE(option.get(Config()), kSamples.at(option.value_name)) << option.flag;
  }
}

TEST(Options, EachDefaultsTextIsReadBackAsItself) {
  for (const Option& option : options()) {
    const std::string text = option.get(Config());
    Config config = changed_config();
    const Outcome outcome = option.set(config, text);
    EXPECT_TRUE(outcome) << option.flag << " '" << text << "': " << outcome.error().message();
    EXPECT_EQ(option.get(config), text) << option.flag;
  }
}

TEST(Options, EachChangesItsOwnMemberAndNoOther) {
  for (const Option& option : options()) {
    Config config;
    ASSERT_TRUE(option.set(config, kSamples.at(option.value_name))) << option.flag;
    auto expected = texts(Config());
    expected[option.flag] = kSamples.at(option.value_name);
    EXPECT_EQ(texts(config), expected) << option.flag;
  }
}

TEST(Options, OfASharedKindReachTheMembersThatTheyAreNamedFor) {
  Config config;
  ASSERT_TRUE(option("--start-timeout").set(config, "1s"));
  ASSERT_TRUE(option("--heartbeat-timeout").set(config, "2s"));
  ASSERT_TRUE(option("--drain-timeout").set(config, "3s"));
  ASSERT_TRUE(option("--kill-timeout").set(config, "4s"));
  ASSERT_TRUE(option("--stop-timeout").set(config, "5s"));
  ASSERT_TRUE(option("--hold-timeout").set(config, "6s"));
  ASSERT_TRUE(option("--stable-time").set(config, "7s"));
  ASSERT_TRUE(option("--canary").set(config, "8s"));
  ASSERT_TRUE(option("--restart-delay").set(config, "9s"));
  ASSERT_TRUE(option("--restart-delay-step").set(config, "10s"));
  ASSERT_TRUE(option("--restart-delay-max").set(config, "11s"));
  ASSERT_TRUE(option("--start-limit").set(config, "12"));
  ASSERT_TRUE(option("--start-limit-interval").set(config, "13s"));
  ASSERT_TRUE(option("--rest").set(config, "14s"));
  ASSERT_TRUE(option("--surge").set(config, "15"));
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

  ASSERT_TRUE(option("--queue-limit").set(config, "16"));
  ASSERT_TRUE(option("--hold-limit").set(config, "17"));
  ASSERT_TRUE(option("--prefix-v4").set(config, "18"));
  ASSERT_TRUE(option("--prefix-v6").set(config, "19"));
  ASSERT_TRUE(option("--name").set(config, "supervisor"));
  ASSERT_TRUE(option("--pool").set(config, "pool"));
  ASSERT_TRUE(option("--control").set(config, "/control"));
  ASSERT_TRUE(option("--working-directory").set(config, "/directory"));
  EXPECT_EQ(config.pools.front().queue_limit, 16U);
  EXPECT_EQ(config.pools.front().hold_limit, 17U);
  EXPECT_EQ(config.pools.front().prefix, (KeyPrefix{18, 19}));
  EXPECT_EQ(config.name, "supervisor");
  EXPECT_EQ(config.pools.front().name, "pool");
  EXPECT_EQ(config.control_path, "/control");
  EXPECT_EQ(config.pools.front().working_directory, "/directory");
}

TEST(Options, EachThatIsNoFreeTextRefusesJunkAndKeepsItsValue) {
  const std::set<std::string> free_texts = {"NAME", "PATH", "DIR"};
  for (const Option& option : options()) {
    if (free_texts.contains(option.value_name)) continue;
    for (const std::string junk : {"", "junk!", "7,junk"}) {
      Config config = changed_config();
      const Outcome outcome = option.set(config, junk);
      ASSERT_FALSE(outcome) << option.flag << " '" << junk << "'";
      EXPECT_THAT(outcome.error().message(), HasSubstr("'" + junk + "' is not ")) << option.flag;
      EXPECT_EQ(texts(config), texts(changed_config())) << option.flag;
    }
  }
}

TEST(Options, FlagsAndTheirWordsAreWhatTheHelpNeeds) {
  std::set<std::string> flags;
  for (const Option& option : options()) {
    EXPECT_TRUE(flags.insert(option.flag).second) << option.flag << " is there twice";
    EXPECT_TRUE(option.flag.starts_with("--") && option.flag.size() > 2) << option.flag;
    EXPECT_EQ(option.flag.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-"), std::string::npos) << option.flag;
    EXPECT_FALSE(option.group.empty()) << option.flag;
    EXPECT_FALSE(option.help.empty()) << option.flag;
  }
}

TEST(Options, TheEnvironmentNameIsTheFlagInCapitals) {
  EXPECT_EQ(environment_name(option("--start-timeout")), "HOLDFAST_START_TIMEOUT");
  EXPECT_EQ(environment_name(option("--prefix-v4")), "HOLDFAST_PREFIX_V4");
  EXPECT_EQ(environment_name(option("--name")), "HOLDFAST_NAME");
  Option every_kind;  // of letter, digit and sign
  every_kind.flag = "--az-09";
  EXPECT_EQ(environment_name(every_kind), "HOLDFAST_AZ_09");
  std::set<std::string> names;
  for (const Option& option : options()) EXPECT_TRUE(names.insert(environment_name(option)).second) << option.flag;
}

TEST(Mistakes, AValidConfigurationHasNone) { EXPECT_THAT(find_mistakes(valid_config()), IsEmpty()); }

TEST(Mistakes, EachIsFoundAndNamedAlone) {
  const std::vector<std::pair<std::string, std::function<void(Config&)>>> cases = {
      {"there is no listener", [](Config& c) { c.listeners.clear(); }},
      {"there is no worker command", [](Config& c) { c.pools.front().command.clear(); }},
      {"--name 'a/b'", [](Config& c) { c.name = "a/b"; }},
      {"--pool 'a b'", [](Config& c) { c.pools.front().name = "a b"; }},
      {"--pool ''", [](Config& c) { c.pools.front().name = ""; }},
      {"-w 257: at most 256 workers", [](Config& c) { c.pools.front().workers = kMaxSlots + 1; }},
      {"--prefix-v4 33: at most 32", [](Config& c) { c.pools.front().prefix.v4 = 33; }},
      {"--prefix-v6 129: at most 128", [](Config& c) { c.pools.front().prefix.v6 = 129; }},
      {"--queue-limit 0", [](Config& c) { c.pools.front().queue_limit = 0; }},
      {"--backlog must be at least 1", [](Config& c) { c.backlog = 0; }},
      {"--backlog must be at least 1", [](Config& c) { c.backlog = -1; }},
      {"--surge 0", [](Config& c) { c.pools.front().fleet.surge = 0; }},
      {"--heartbeat-timeout must be 0 or at least 100ms",
       [](Config& c) { c.pools.front().fleet.heartbeat_timeout = 99ms; }},
      {"--start-timeout 0", [](Config& c) { c.pools.front().fleet.start_timeout = 0s; }},
      {"--stop-timeout must not be shorter than --kill-timeout",
       [](Config& c) { c.pools.front().fleet.stop_timeout = c.pools.front().fleet.kill_timeout - 1ns; }},
      {"--restart-delay-max must not be shorter than --restart-delay-step",
       [](Config& c) { c.pools.front().fleet.backoff.limit = c.pools.front().fleet.backoff.step - 1ns; }},
      {"two listeners are named 'main'", [](Config& c) { c.listeners[1].name = "main"; }},
      {"-l :8080 is given twice", [](Config& c) { c.listeners[1].address = c.listeners[0].address; }},
      {"-l :8080 and -l 127.0.0.1:8080 take the same port",
       [](Config& c) { c.listeners[1].address = *parse_listen_address("127.0.0.1:8080"); }},
  };
  for (const auto& [mistake, change] : cases) EXPECT_THAT(mistakes_after(change), ElementsAre(HasSubstr(mistake)));
}

TEST(Mistakes, TheLastGoodValuesAreNone) {
  EXPECT_THAT(mistakes_after([](Config& c) {
                c.name = "";  // that of the command
                c.pools.front().workers = kMaxSlots;
                c.pools.front().prefix = {32, 128};
                c.pools.front().queue_limit = 1;
                c.pools.front().hold_limit = 0;
                c.backlog = 1;
                c.pools.front().fleet.surge = 1;
                c.pools.front().fleet.start_timeout = 1ns;
                c.pools.front().fleet.heartbeat_timeout = 0s;
                c.pools.front().fleet.stop_timeout = c.pools.front().fleet.kill_timeout;
                c.pools.front().fleet.backoff.limit = c.pools.front().fleet.backoff.step;
              }),
              IsEmpty());
  EXPECT_THAT(mistakes_after([](Config& c) {
                c.pools.front().workers = 0;
                c.pools.front().prefix = {0, 0};
              }),
              IsEmpty());
}

TEST(Mistakes, EachPairOfListenersIsLookedAt) {
  const auto with_third = [](const char* address) {
    return mistakes_after([&](Config& c) { c.listeners.push_back(*parse_listener(address, "third")); });
  };
  EXPECT_THAT(with_third("unix:@app"), ElementsAre("-l unix:@app is given twice"));
  EXPECT_THAT(with_third(":8080"), ElementsAre("-l :8080 is given twice"));
  EXPECT_THAT(with_third(":8081"), IsEmpty());
}

TEST(Mistakes, AreAllReportedAtOnce) {
  EXPECT_THAT(find_mistakes(Config()), ElementsAre(HasSubstr("no listener"), HasSubstr("no worker command")));
  EXPECT_THAT(mistakes_after([](Config& c) {
                c.pools.front().queue_limit = 0;
                c.backlog = 0;
                c.pools.front().fleet.surge = 0;
              }),
              ElementsAre(HasSubstr("--queue-limit"), HasSubstr("--backlog"), HasSubstr("--surge")));
}

const std::vector<std::string> kFlags = {"--name", "--pool", "--start-timeout", "--stop-timeout", "--rest"};

TEST(Nearest, FindsWhatWasMeant) {
  EXPECT_EQ(nearest("--start-timeuot", kFlags), "--start-timeout");
  EXPECT_EQ(nearest("--start_timeout", kFlags), "--start-timeout");
  EXPECT_EQ(nearest("--nmae", kFlags), "--name");
  EXPECT_EQ(nearest("--pools", kFlags), "--pool");
  EXPECT_EQ(nearest("--res", kFlags), "--rest");
  EXPECT_EQ(nearest("--stop-timeout", kFlags), "--stop-timeout");
}

TEST(Nearest, CountsInsertionsDeletionsAndReplacementsAlike) {
  // Six letters: three may be wrong.
  const std::vector<std::string> one = {"abcdef"};
  for (const std::string text : {"xbcdef", "abcxdef", "abcdxyz", "xyzdef"})
    EXPECT_EQ(nearest(text, one), "abcdef") << text;
  EXPECT_EQ(nearest("wxyzef", one), "");
  EXPECT_EQ(nearest("def", one), "");  // of three letters two may be wrong
  EXPECT_EQ(nearest("bcde", one), "abcdef");
}

TEST(Nearest, TakesTheNearerAndOfEqualsTheFirst) {
  EXPECT_EQ(nearest("stat", std::vector<std::string>{"start", "state", "stat"}), "stat");
  EXPECT_EQ(nearest("stat", std::vector<std::string>{"start", "state"}), "start");
}

TEST(Nearest, AnswersNothingWhereNothingIsNear) {
  EXPECT_EQ(nearest("--frobnicate", kFlags), "");
  EXPECT_EQ(nearest("--name", std::vector<std::string>{}), "");
  EXPECT_EQ(nearest("", kFlags), "");
}

TEST(Options, ListenersThatAnIntakeCannotServeAreMistakes) {
  EXPECT_THAT(mistakes_after([](Config& c) { c.pools.front().intake = Intake::Capture; }),
              ElementsAre(HasSubstr("listener app: a Unix path cannot be steered")));
  EXPECT_THAT(mistakes_after([](Config& c) { c.pools.front().intake = Intake::None; }),
              testing::Contains(HasSubstr("--intake none has no listener")));
  EXPECT_THAT(mistakes_after([](Config& c) {
                c.pools.front().intake = Intake::None;
                c.listeners.clear();
              }),
              IsEmpty());
}

TEST(Options, PlanesThatAnIntakeCannotHaveAreMistakes) {
  const auto with = [](Intake intake, Plane plane) {
    return mistakes_after([&](Config& c) {
      c.listeners.pop_back();
      if (intake == Intake::None) c.listeners.clear();
      c.pools.front().intake = intake;
      c.pools.front().plane = plane;
    });
  };
  EXPECT_THAT(with(Intake::Capture, Plane::Pass), ElementsAre(HasSubstr("--plane pass needs workers of the SDK")));
  EXPECT_THAT(with(Intake::None, Plane::Steer), ElementsAre(HasSubstr("no use to --intake none")));
  EXPECT_THAT(with(Intake::Sdk, Plane::Self), ElementsAre(HasSubstr("--plane self is that of --intake none")));
  EXPECT_THAT(with(Intake::Sdk, Plane::Steer), IsEmpty());
  EXPECT_THAT(with(Intake::Sdk, Plane::Pass), IsEmpty());
  EXPECT_THAT(with(Intake::None, Plane::Self), IsEmpty());
}

}  // namespace
}  // namespace holdfast
