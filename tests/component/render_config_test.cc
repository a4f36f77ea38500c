#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

#include "config/options.h"
#include "ctl/render_config.h"
#include "test_paths.h"

namespace holdfast {
namespace {

using testing::HasSubstr;

// A row for each way in which a value can come about.
Assembled example() {
  constexpr const char* kText = R"([listeners.http]
address = "127.0.0.1:8080"
[listeners.local]
address = "unix:/run/web/web.sock,mode=0660,group=www-data"
[pools.web]
command = ["/opt/web/bin/server", "--a-long-option=with-a-long-value", "--another"]
workers = 4
environment = { TZ = "UTC", LEVEL = "info" }
[environments.production]
supervisor.log-level = "error"
pools.web.environment.LEVEL = "error"
)";
  Given given;
  given.overlay = GivenText{"production", {Origin::Kind::CommandLine, "--environment", {}, ""}};
  given.rows.push_back({find_option(Scope::Pool, "surge"), {"2", {Origin::Kind::CommandLine, "--surge", {}, ""}}});
  given.rows.push_back(
      {find_option(Scope::Supervisor, "backlog"), {"100", {Origin::Kind::Variable, "HOLDFAST_BACKLOG", {}, ""}}});
  given.sets = {"pools.web.stop-timeout=2m"};
  return assemble(ConfigFile{"/etc/holdfast/web.toml", kText}, given);
}

// HOLDFAST_UPDATE_GOLDEN=1 writes what is drawn now: look at the difference before it is committed.
TEST(RenderConfig, IsDrawnAsItWasAgreed) {
  const Assembled assembled = example();
  for (const Mistake& mistake : assembled.mistakes) ADD_FAILURE() << to_text(mistake);
  const std::string text = render_config(assembled, Colours::Off);
  const std::string path = HOLDFAST_SOURCE "/tests/golden/check.txt";
  if (::getenv("HOLDFAST_UPDATE_GOLDEN") != nullptr) std::ofstream(path) << text;
  std::ifstream file(path);
  const std::string golden{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_EQ(text, golden);
}

TEST(RenderConfig, AsJsonHasEachValueWithItsKindAndItsOrigin) {
  const auto json = nlohmann::json::parse(config_json(example()));
  EXPECT_EQ(json["ok"], true);
  EXPECT_EQ(json["file"], "/etc/holdfast/web.toml");
  const auto value = [&](const std::string& key) {
    for (const auto& each : json["values"]) {
      if (each["key"] == key) return each;
    }
    return nlohmann::json();
  };
  EXPECT_EQ(value("pools.web.workers")["value"], 4);
  EXPECT_EQ(value("pools.web.workers")["reload"], "live");
  EXPECT_EQ(value("pools.web.workers")["from"]["line"], 7);
  EXPECT_EQ(value("pools.web.command")["value"][0], "/opt/web/bin/server");
  EXPECT_EQ(value("pools.web.command")["reload"], "workers");
  EXPECT_EQ(value("pools.web.environment.LEVEL")["from"]["environment"], "production");
  EXPECT_EQ(value("supervisor.backlog")["from"]["kind"], "variable");
  EXPECT_EQ(value("supervisor.backlog")["from"]["name"], "HOLDFAST_BACKLOG");
  EXPECT_EQ(value("pools.web.surge")["from"]["kind"], "command line");
  EXPECT_EQ(value("pools.web.canary")["from"]["kind"], "default");
}

TEST(RenderConfig, AsJsonHasEachMistakeWithItsPlace) {
  const Assembled assembled = assemble(ConfigFile{"f\xff", "[supervisor]\nx = \"\\u001b\"\n"}, {});
  const auto json = nlohmann::json::parse(config_json(assembled));
  EXPECT_EQ(json["ok"], false);
  EXPECT_TRUE(json["values"].empty());
  ASSERT_GE(json["mistakes"].size(), 1U);
  const auto& unknown = json["mistakes"].back();
  EXPECT_EQ(unknown["from"]["line"], 2);
  EXPECT_EQ(unknown["from"]["column"], 1);
  EXPECT_THAT(unknown["text"].get<std::string>(), HasSubstr("unknown key x"));
}

}  // namespace
}  // namespace holdfast
