#include "config/assemble.h"

#include <optional>
#include <string>
#include <vector>

#include <gmock/gmock.h>

#include "config/options.h"
#include "config/values.h"

namespace holdfast {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kFile = R"([supervisor]
log-level = "warning"
[listeners.http]
address = ":80"
[pools.web]
command = ["./web"]
workers = 2
surge = 3
environment = { A = "1", B = "2" }
[environments.dev.pools.web]
workers = 4
surge = 5
environment = { B = "dev" }
[environments.dev.listeners.debug]
address = ":81"
)";

constexpr const char* kTwoPools = R"([listeners.http]
address = ":80"
[listeners.api]
address = ":81"
pool = "api"
[pools.web]
command = ["./web"]
[pools.api]
command = ["./api"]
)";

Origin by(const char* option) { return {Origin::Kind::CommandLine, option, {}, ""}; }
Origin variable(const char* name) { return {Origin::Kind::Variable, name, {}, ""}; }

// A user's wishes, one after the other.
class Wish {
 public:
  Wish& option(Scope scope, const char* key, const char* text) {
    const Option* const row = find_option(scope, key);
    given_.rows.push_back({row, {text, by(short_name(*row).c_str())}});
    return *this;
  }
  Wish& from_variable(Scope scope, const char* key, const char* text) {
    const Option* const row = find_option(scope, key);
    given_.rows.push_back({row, {text, variable(environment_name(row->flag).c_str())}});
    return *this;
  }
  Wish& listen(const char* text) {
    given_.listeners.push_back({text, by("-l")});
    return *this;
  }
  Wish& set(const char* text) {
    given_.sets.emplace_back(text);
    return *this;
  }
  Wish& command(std::vector<std::string> words) {
    given_.command = std::move(words);
    return *this;
  }
  Wish& pool(const char* name) {
    given_.pool = GivenText{name, by("--pool")};
    return *this;
  }
  Wish& environment(const char* name) {
    given_.overlay = GivenText{name, by("--environment")};
    return *this;
  }
  [[nodiscard]] Assembled with(const char* file) const { return assemble(ConfigFile{"f", file}, given_); }
  [[nodiscard]] Assembled alone() const { return assemble(std::nullopt, given_); }

 private:
  Given given_;
};

std::vector<std::string> mistakes(const Assembled& assembled) {
  std::vector<std::string> texts;
  for (const Mistake& mistake : assembled.mistakes) texts.push_back(to_text(mistake));
  return texts;
}

std::string origin(const Assembled& assembled, const std::string& path) {
  for (const auto& [key, origin] : assembled.origins) {
    if (to_text(key) == path && !key.key.empty()) return to_text(origin);
  }
  return "default";
}

std::vector<std::string> listeners(const Assembled& assembled) {
  std::vector<std::string> texts;
  for (const ListenerConfig& listener : assembled.config.listeners) {
    texts.push_back(listener.name + "=" + value_text(listener.address) + (listener.pool.empty() ? "" : ">") +
                    listener.pool);
  }
  return texts;
}

TEST(Assemble, TheCommandLineAloneMakesOnePool) {
  const Assembled assembled = Wish()
                                  .listen(":80")
                                  .listen("admin=:81")
                                  .listen(":82")
                                  .command({"./a", "b"})
                                  .option(Scope::Pool, "workers", "3")
                                  .alone();
  EXPECT_THAT(mistakes(assembled), IsEmpty());
  EXPECT_THAT(listeners(assembled), ElementsAre("main=:80", "admin=:81", "main-3=:82"));
  ASSERT_EQ(assembled.config.pools.size(), 1U);
  EXPECT_EQ(assembled.config.pools.front().name, "main");
  EXPECT_EQ(assembled.config.pools.front().workers, 3U);
  EXPECT_THAT(assembled.config.pools.front().command, ElementsAre("./a", "b"));
  EXPECT_EQ(origin(assembled, "pools.main.workers"), "-w");
  EXPECT_EQ(origin(assembled, "pools.main.command"), "--");
  EXPECT_EQ(origin(assembled, "pools.main.surge"), "default");
}

TEST(Assemble, WithoutAFileThePoolHasTheNameThatIsGiven) {
  const Assembled assembled = Wish().listen(":80").command({"./a"}).pool("kitchen").alone();
  EXPECT_THAT(mistakes(assembled), IsEmpty());
  EXPECT_EQ(assembled.config.pools.front().name, "kitchen");
  EXPECT_THAT(mistakes(Wish().listen(":80").command({"./a"}).pool("a b").alone()),
              ElementsAre(HasSubstr("--pool 'a b'")));
}

TEST(Assemble, TheFileGoesBeforeTheDefaults) {
  const Assembled assembled = Wish().with(kFile);
  EXPECT_THAT(mistakes(assembled), IsEmpty());
  EXPECT_EQ(assembled.config.log_level, LogLevel::Warning);
  EXPECT_THAT(listeners(assembled), ElementsAre("http=:80"));
  EXPECT_EQ(assembled.config.pools.front().workers, 2U);
  EXPECT_EQ(origin(assembled, "pools.web.workers"), "f:7");
  EXPECT_EQ(origin(assembled, "pools.web.canary"), "default");
}

TEST(Assemble, TheOverlayGoesBeforeTheFileAndTableEntriesAreLaidOverOneByOne) {
  const Assembled assembled = Wish().environment("dev").with(kFile);
  EXPECT_THAT(mistakes(assembled), IsEmpty());
  const PoolConfig& pool = assembled.config.pools.front();
  EXPECT_EQ(pool.workers, 4U);
  EXPECT_EQ(pool.environment, (std::map<std::string, std::string>{{"A", "1"}, {"B", "dev"}}));
  EXPECT_THAT(pool.command, ElementsAre("./web"));
  EXPECT_THAT(listeners(assembled), ElementsAre("http=:80", "debug=:81"));
  EXPECT_EQ(origin(assembled, "pools.web.workers"), "f:11");
  EXPECT_EQ(origin(assembled, "pools.web.environment.A"), "f:9");
  EXPECT_EQ(origin(assembled, "pools.web.environment.B"), "f:13");
}

TEST(Assemble, VariablesGoBeforeTheFileAndTheCommandLineBeforeAll) {
  const Assembled by_variable = Wish().environment("dev").from_variable(Scope::Pool, "surge", "6").with(kFile);
  EXPECT_EQ(by_variable.config.pools.front().fleet.surge, 6U);
  EXPECT_EQ(origin(by_variable, "pools.web.surge"), "HOLDFAST_SURGE");
  const Assembled by_set =
      Wish().environment("dev").from_variable(Scope::Pool, "surge", "6").set("pools.web.surge=7").with(kFile);
  EXPECT_THAT(mistakes(by_set), IsEmpty());
  EXPECT_EQ(by_set.config.pools.front().fleet.surge, 7U);
  EXPECT_EQ(origin(by_set, "pools.web.surge"), "--set pools.web.surge");
  const Assembled by_option = Wish().environment("dev").option(Scope::Pool, "surge", "8").with(kFile);
  EXPECT_EQ(by_option.config.pools.front().fleet.surge, 8U);
}

TEST(Assemble, TheCommandLineMayCompleteAFile) {
  const Assembled assembled =
      Wish().listen(":80").command({"./a"}).with("[supervisor]\nbacklog = 3\n[pools.web]\nworkers = 2\n");
  EXPECT_THAT(mistakes(assembled), IsEmpty());
  ASSERT_EQ(assembled.config.pools.size(), 1U);
  EXPECT_EQ(assembled.config.pools.front().name, "web");
  EXPECT_THAT(assembled.config.pools.front().command, ElementsAre("./a"));
  EXPECT_EQ(assembled.config.backlog, 3);
}

TEST(Assemble, AListenerOfTheCommandLineMovesTheOneOfItsNameOrTheOnlyOne) {
  EXPECT_THAT(listeners(Wish().listen(":90").with(kFile)), ElementsAre("http=:90"));
  EXPECT_THAT(listeners(Wish().listen("http=:90").with(kTwoPools)), ElementsAre("http=:90", "api=:81>api"));
  EXPECT_THAT(listeners(Wish().listen("more=:90").with(kFile)), ElementsAre("http=:80", "more=:90"));
  EXPECT_THAT(listeners(Wish().listen("more=:90").pool("api").with(kTwoPools)),
              ElementsAre("http=:80", "api=:81>api", "more=:90>api"));
}

TEST(Assemble, AListenerThatCouldBeAnyIsAMistake) {
  EXPECT_THAT(mistakes(Wish().listen(":90").with(kTwoPools)),
              ElementsAre(HasSubstr("-l: :90 could be any of http, api")));
  EXPECT_THAT(mistakes(Wish().listen(":90").listen(":91").with(kFile)),
              ElementsAre(HasSubstr(":90 could be"), HasSubstr(":91 could be")));
  EXPECT_THAT(mistakes(Wish().listen("a=:90").listen("a=:91").command({"./a"}).alone()),
              ElementsAre("-l: two listeners are named 'a'"));
}

TEST(Assemble, AnOptionOfAPoolMeansTheOneThatIsNamed) {
  const Assembled assembled = Wish().pool("api").option(Scope::Pool, "workers", "3").command({"./b"}).with(kTwoPools);
  EXPECT_THAT(mistakes(assembled), IsEmpty());
  EXPECT_EQ(assembled.config.pools[0].workers, 0U);
  EXPECT_THAT(assembled.config.pools[0].command, ElementsAre("./web"));
  EXPECT_EQ(assembled.config.pools[1].workers, 3U);
  EXPECT_THAT(assembled.config.pools[1].command, ElementsAre("./b"));
}

TEST(Assemble, AnOptionThatCouldMeanAnyPoolIsAMistake) {
  EXPECT_THAT(
      mistakes(Wish().option(Scope::Pool, "workers", "3").command({"./b"}).with(kTwoPools)),
      ElementsAre(HasSubstr("-w: which pool is meant? There are web, api"), HasSubstr("--: which pool is meant?")));
  EXPECT_THAT(mistakes(Wish().from_variable(Scope::Pool, "surge", "3").with(kTwoPools)),
              ElementsAre(HasSubstr("HOLDFAST_SURGE: which pool is meant?")));
  EXPECT_THAT(mistakes(Wish().option(Scope::Supervisor, "backlog", "3").with(kTwoPools)), IsEmpty());
  EXPECT_THAT(mistakes(Wish().pool("ap").with(kTwoPools)), ElementsAre(HasSubstr("--pool: the file has no pool 'ap'")));
}

TEST(Assemble, SetReachesEveryKeyButMakesNoPool) {
  const Assembled assembled =
      Wish().set("pools.api.workers=3").set("listeners.http.address=:90").set("supervisor.backlog=9").with(kTwoPools);
  EXPECT_THAT(mistakes(assembled), IsEmpty());
  EXPECT_EQ(assembled.config.pools[1].workers, 3U);
  EXPECT_EQ(assembled.config.backlog, 9);
  EXPECT_THAT(listeners(assembled), ElementsAre("http=:90", "api=:81>api"));
  EXPECT_THAT(mistakes(Wish().set("pools.wbe.workers=3").with(kFile)),
              ElementsAre("--set pools.wbe.workers: there is no pool 'wbe', did you mean 'web'?"));
  EXPECT_THAT(mistakes(Wish().set("listeners.htp.address=:3").with(kFile)),
              ElementsAre(HasSubstr("there is no listener 'htp', did you mean 'http'?")));
  EXPECT_THAT(mistakes(Wish().listen(":80").command({"./a"}).set("pools.main.workers=3").alone()), IsEmpty());
}

TEST(Assemble, AKeyThatIsGivenTwiceIsAMistake) {
  EXPECT_THAT(mistakes(Wish().option(Scope::Pool, "surge", "3").set("pools.web.surge=4").with(kFile)),
              ElementsAre("--set pools.web.surge: pools.web.surge is given twice: --surge gives it, too"));
}

TEST(Assemble, AnEnvironmentThatIsNotThereIsAMistake) {
  EXPECT_THAT(mistakes(Wish().environment("dve").with(kFile)),
              ElementsAre("--environment: the file has no [environments.dve], did you mean 'dev'?"));
  EXPECT_THAT(mistakes(Wish().environment("dev").listen(":80").command({"./a"}).alone()),
              ElementsAre(HasSubstr("give one with -c FILE")));
}

TEST(Assemble, WhatIsMissingInAFileIsToldWithItsPlace) {
  EXPECT_THAT(mistakes(Wish().with("")),
              ElementsAre(HasSubstr("f: there is no listener: write [listeners.main]"),
                          HasSubstr("f: pool 'main' has no command: write for instance command = [\"./server\"]")));
  EXPECT_THAT(
      mistakes(Wish().with("[listeners.http]\n[pools.web]\n")),
      ElementsAre(HasSubstr("f:1:12: listener 'http' has no address"), HasSubstr("f:2:8: pool 'web' has no command")));
}

TEST(Assemble, WhatCouldNotBeReadIsNotToldOnceMoreAsMissing) {
  EXPECT_THAT(mistakes(Wish().with("[listeners.http]\naddress = \"x\"\n[pools.web]\ncommand = \"./a\"\n")),
              ElementsAre(HasSubstr("f:2:11: address: listen address 'x'"), HasSubstr("f:4:11: command: ")));
}

TEST(Assemble, AListenerThatCouldNotBeReadIsNotMissing) {
  EXPECT_THAT(mistakes(Wish().listen("x").command({"./a"}).alone()), ElementsAre(HasSubstr("-l: listen address 'x'")));
  EXPECT_THAT(mistakes(Wish().listen("x").command({"./a"}).with("")), ElementsAre(HasSubstr("-l: listen address 'x'")));
}

TEST(Assemble, EveryMistakeOfEverySourceIsToldAtOnce) {
  EXPECT_THAT(mistakes(Wish()
                           .option(Scope::Pool, "canary", "x")
                           .set("foo")
                           .listen("y")
                           .with("[supervisor]\nbacklog = 0\n[listeners.a]\naddress=\":1\"\n[pools.web]\nsurge = 0\nz "
                                 "= 1\ncommand = [\"./a\"]")),
              ElementsAre("f:2:1: backlog must be at least 1", "f:6:1: surge 0 would renew nothing",
                          HasSubstr("f:7:1: unknown key z"), HasSubstr("-l: listen address 'y'"),
                          HasSubstr("--canary: 'x' is not a time"), HasSubstr("--set foo")));
}

TEST(Assemble, AFileOfAnotherSyntaxIsTheOnlyMistake) {
  EXPECT_THAT(mistakes(Wish().option(Scope::Pool, "canary", "x").with("[")), ElementsAre(HasSubstr("f:1:")));
}

TEST(Assemble, AMistakeInAnOverlayIsToldWhetherItIsChosenOrNot) {
  const std::string file = std::string(kFile) + "[environments.prod.pools.web]\nsurge = \"x\"\n";
  EXPECT_THAT(mistakes(Wish().with(file.c_str())), Contains(HasSubstr("surge: 'x' is not a whole number")));
}

}  // namespace
}  // namespace holdfast
