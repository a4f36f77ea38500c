#include "config/parse.h"

#include <string>
#include <vector>

#include <gmock/gmock.h>

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> mistakes_of(std::string_view text) {
  std::vector<std::string> texts;
  for (const Mistake& mistake : parse_file(text, "f").mistakes) texts.push_back(to_text(mistake));
  return texts;
}

std::vector<std::string> assignments_of(const Layer& layer) {
  std::vector<std::string> texts;
  for (const Assignment& assignment : layer.assignments) {
    texts.push_back(to_text(assignment.origin) + " " + to_text(assignment.path) + "=" + to_toml(assignment.value));
  }
  return texts;
}

std::vector<std::string> names_of(const Layer& layer) {
  std::vector<std::string> names;
  for (const Named& named : layer.named) names.push_back(to_text(KeyPath{named.scope, named.name, "", ""}));
  return names;
}

TEST(ConfigFile, SaysWhatStandsInItAndWhere) {
  const ParsedFile file = parse_file(R"([supervisor]
backlog = 7
[listeners.http]
address = ":80"
[pools.web]
command = ["./a", "-b"]
environment = { B = "2", A = 1 }
[pools.api]
)",
                                     "f");
  EXPECT_THAT(file.mistakes, IsEmpty());
  EXPECT_THAT(assignments_of(file.base),
              ElementsAre("f:2 supervisor.backlog=7", "f:4 listeners.http.address=\":80\"",
                          "f:6 pools.web.command=[\"./a\", \"-b\"]", "f:7 pools.web.environment.B=\"2\"",
                          "f:7 pools.web.environment.A=1"));
  EXPECT_THAT(names_of(file.base), ElementsAre("listeners.http", "pools.web", "pools.api"));
}

TEST(ConfigFile, KeysThatBeginAlikeMayStandInATableOfWhatTheyHaveInCommon) {
  const ParsedFile file = parse_file(R"([pools.web]
health = { http = "/healthz", interval = "1s" }
restart.delay-max = "9s"
)",
                                     "f");
  EXPECT_THAT(file.mistakes, IsEmpty());
  EXPECT_THAT(assignments_of(file.base),
              ElementsAre("f:2 pools.web.health-http=\"/healthz\"", "f:2 pools.web.health-interval=\"1s\"",
                          "f:3 pools.web.restart-delay-max=\"9s\""));
}

TEST(ConfigFile, AMistakeInSuchATableIsTheMistakeOfItsKey) {
  EXPECT_THAT(mistakes_of("[pools.web]\nhealth = { htp = \"/\" }\n"),
              ElementsAre(HasSubstr("unknown key health-htp in [pools.web], did you mean 'health-http'?")));
  EXPECT_THAT(mistakes_of("[pools.web]\nhealth = \"/\"\n"), ElementsAre(HasSubstr("unknown key health")));
  EXPECT_THAT(mistakes_of("[pools.web]\nheal = { http = \"/\" }\n"), ElementsAre(HasSubstr("unknown key heal ")));
  EXPECT_THAT(mistakes_of("[pools.web]\nhealth-fail = 2\nhealth = { fail = 3 }\n"),
              ElementsAre(HasSubstr("health-fail is written twice")));
}

TEST(ConfigFile, KeepsTheOrderInWhichPoolsAreWritten) {
  EXPECT_THAT(names_of(parse_file("[pools.b]\n[pools.a]\n[pools.c]\n", "f").base),
              ElementsAre("pools.b", "pools.a", "pools.c"));
  EXPECT_THAT(names_of(parse_file("pools = { b = {}, a = {} }\n", "f").base), ElementsAre("pools.b", "pools.a"));
}

TEST(ConfigFile, MayWriteTablesInEveryFormOfToml) {
  const auto one = [](std::string_view text) { return assignments_of(parse_file(text, "f").base); };
  EXPECT_THAT(one("pools.web.workers = 3"), ElementsAre("f:1 pools.web.workers=3"));
  EXPECT_THAT(one("[pools]\nweb.workers = 3"), ElementsAre("f:2 pools.web.workers=3"));
  EXPECT_THAT(one("[pools]\nweb = { workers = 3 }"), ElementsAre("f:2 pools.web.workers=3"));
  EXPECT_THAT(one("[pools.\"a.b\"]\nworkers = 3"), ElementsAre("f:2 pools.\"a.b\".workers=3"));
}

TEST(ConfigFile, HasAnOverlayForEachEnvironment) {
  const ParsedFile file = parse_file(R"([environments.dev.pools.web]
workers = 1
[environments.prod.supervisor]
log-level = "error"
[environments.empty]
)",
                                     "f");
  EXPECT_THAT(file.mistakes, IsEmpty());
  ASSERT_TRUE(file.environments.contains("dev") && file.environments.contains("prod") &&
              file.environments.contains("empty"));
  EXPECT_THAT(assignments_of(file.environments.at("dev")), ElementsAre("f:2 pools.web.workers=1"));
  EXPECT_EQ(file.environments.at("dev").assignments.front().origin.environment, "dev");
  EXPECT_THAT(assignments_of(file.environments.at("prod")), ElementsAre("f:4 supervisor.log-level=\"error\""));
  EXPECT_THAT(file.base.named, IsEmpty());
}

TEST(ConfigFile, TellsAnErrorOfSyntaxWithItsPlace) {
  const ParsedFile file = parse_file("[supervisor]\nbacklog = \n", "f");
  EXPECT_FALSE(file.readable);
  EXPECT_THAT(mistakes_of("[supervisor]\nbacklog = \n"),
              ElementsAre(HasSubstr("f:2:11: cannot read this as TOML: key-value pair")));
  EXPECT_THAT(mistakes_of("[pools.a]\n[pools.a]\n"), ElementsAre(HasSubstr("f:2:1: ")));
  EXPECT_THAT(mistakes_of("\xff"), ElementsAre(HasSubstr("f:1:1: ")));
  EXPECT_THAT(mistakes_of("[a]\n[\n"), ElementsAre(HasSubstr("f:2:2: ")));     // toml++ asserts that this cannot be
  EXPECT_THAT(mistakes_of("[a\u03a2]\n"), ElementsAre(HasSubstr("f:1:3: ")));  // of this letter it knows nothing
}

TEST(ConfigFile, NamesTheNearestKeyForOneThatItDoesNotKnow) {
  EXPECT_THAT(mistakes_of("[pools.web]\nstrat-timeout = \"3s\""),
              ElementsAre("f:2:1: unknown key strat-timeout in [pools.web], did you mean 'start-timeout'?"));
  EXPECT_THAT(mistakes_of("[supervisor]\nfrobnicate = 1"),
              ElementsAre("f:2:1: unknown key frobnicate in [supervisor]"));
  EXPECT_THAT(mistakes_of("[environments.dev.pools.web]\nworker = 1"),
              ElementsAre("f:2:1: unknown key worker in [environments.dev.pools.web], did you mean 'workers'?"));
  EXPECT_THAT(mistakes_of("[pool.web]"), ElementsAre("f:1:2: unknown table pool, did you mean 'pools'?"));
}

TEST(ConfigFile, NamesTheTableOfAKeyThatStandsInAnother) {
  EXPECT_THAT(mistakes_of("[pools.web]\nbacklog = 3"),
              ElementsAre("f:2:1: unknown key backlog in [pools.web]: it belongs to [supervisor]"));
  EXPECT_THAT(mistakes_of("surge = 3"), ElementsAre("f:1:1: 'surge' stands in no table: it belongs to [pools.NAME]"));
  EXPECT_THAT(mistakes_of("[supervisor]\naddress = \":80\""),
              ElementsAre("f:2:1: unknown key address in [supervisor]: it belongs to [listeners.NAME]"));
}

TEST(ConfigFile, RefusesAValueOfAnotherKindAtItsPlace) {
  EXPECT_THAT(mistakes_of("[pools.web]\nstart-timeout = 30"),
              ElementsAre(HasSubstr("f:2:17: start-timeout: '30' is not a time")));
  EXPECT_THAT(mistakes_of("[pools.web]\nsurge = [1]"), ElementsAre(HasSubstr("f:2:9: surge: [1] is a list")));
  EXPECT_THAT(mistakes_of("[pools.web]\nsurge = { a = 1 }"), ElementsAre(HasSubstr("f:2:9: surge: a table")));
  EXPECT_THAT(mistakes_of("[pools.web]\ncommand = [[\"a\"]]"), ElementsAre(HasSubstr("command: a list in a list")));
  EXPECT_THAT(mistakes_of("[pools.web]\nenvironment = \"A=1\""),
              ElementsAre(HasSubstr("environment is a table: write")));
  EXPECT_THAT(mistakes_of("[pools]\nweb = 3"), ElementsAre(HasSubstr("f:2:1: pools.web is a table")));
  EXPECT_THAT(mistakes_of("pools = 3"), ElementsAre(HasSubstr("f:1:1: pools is a table")));
  EXPECT_THAT(mistakes_of("[[pools]]"), ElementsAre(HasSubstr("pools is a table: write [pools.NAME]")));
  EXPECT_THAT(mistakes_of("environments = 3"), ElementsAre(HasSubstr("environments is a table")));
}

TEST(ConfigFile, RefusesNamesThatAreNone) {
  EXPECT_THAT(mistakes_of("[pools.\"a b\"]"), ElementsAre(HasSubstr("f:1:8: \"a b\" is no name")));
  EXPECT_THAT(mistakes_of("[listeners.\"-a\"]"), ElementsAre(HasSubstr("is no name")));
  EXPECT_THAT(mistakes_of("[environments.\"a b\"]"), ElementsAre(HasSubstr("is no name")));
}

TEST(ConfigFile, TellsEveryMistakeAndNotOnlyTheFirst) {
  EXPECT_THAT(
      mistakes_of("[supervisor]\nx = 1\nbacklog = \"y\"\n[pools.web]\nz = 1\n[environments.dev.supervisor]\nw = 1\n"),
      ElementsAre(HasSubstr("f:2:1"), HasSubstr("f:3:11"), HasSubstr("f:5:1"), HasSubstr("f:7:1")));
}

TEST(SetOption, IsOneKeyOfTheFile) {
  const auto read = [](std::string_view text) {
    const ParsedSet set = parse_set(text);
    EXPECT_THAT(set.mistakes, IsEmpty()) << text;
    return assignments_of(set.layer);
  };
  EXPECT_THAT(read("pools.web.start-timeout=10s"),
              ElementsAre("--set pools.web.start-timeout pools.web.start-timeout=\"10s\""));
  EXPECT_THAT(read("pools.web.command=[\"./a\", \"b=c\"]"),
              ElementsAre("--set pools.web.command pools.web.command=[\"./a\", \"b=c\"]"));
  EXPECT_THAT(read("pools.web.environment.A=b=c \"d\""),
              ElementsAre(HasSubstr("pools.web.environment.A=\"b=c \\\"d\\\"\"")));
  EXPECT_THAT(read("supervisor.name="), ElementsAre(HasSubstr("supervisor.name=\"\"")));
}

TEST(SetOption, ThatIsNoneSaysWhatItWouldBe) {
  const auto mistakes = [](std::string_view text) {
    std::vector<std::string> texts;
    for (const Mistake& mistake : parse_set(text).mistakes) texts.push_back(to_text(mistake));
    return texts;
  };
  EXPECT_THAT(mistakes("foo"),
              ElementsAre("--set foo: there is no '='; write for instance --set pools.main.workers=4"));
  EXPECT_THAT(mistakes("=4"), ElementsAre(HasSubstr("cannot read this")));
  EXPECT_THAT(mistakes("pools.web.workers\n[pools.x]\na=4"), testing::Not(IsEmpty()));
  EXPECT_THAT(mistakes("pools.web.wokers=4"), ElementsAre(HasSubstr("did you mean 'workers'")));
  EXPECT_THAT(mistakes("pools.web.workers=x"), ElementsAre(HasSubstr("--set pools.web.workers: workers: 'x' is not")));
  EXPECT_THAT(mistakes("environments.dev.pools.web.workers=4"), ElementsAre(HasSubstr("--environment")));
}

}  // namespace
}  // namespace holdfast
