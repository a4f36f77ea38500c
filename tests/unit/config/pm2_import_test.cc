#include "config/pm2_import.h"

#include <gmock/gmock.h>

#include "wire/pm2_file.h"

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string imported(const char* json) {
  const auto apps = parse_pm2_file(json);
  EXPECT_TRUE(apps) << (apps ? "" : apps.error().message());
  return apps ? import_pm2(*apps) : "";
}

TEST(Pm2Import, WhatIsNotRestartedHasNoLikeAndWhatIsNeedsNoWord) {
  const std::string app = R"({"script": "a.js", "instances": 1, "autorestart": )";
  for (const char* const no : {"false", "\"false\""}) {
    EXPECT_THAT(imported((app + no + "}").c_str()), HasSubstr("# autorestart: workers are always restarted"));
  }
  EXPECT_THAT(imported((app + "true}").c_str()), Not(HasSubstr("autorestart")));
}

TEST(Pm2Import, AClusterApplicationBecomesAPoolWithAListener) {
  const std::string toml = imported(R"({"apps": [{"name": "web", "script": "./server.js", "args": "--quiet -x",
      "instances": "max", "exec_mode": "cluster", "env": {"PORT": 8080, "NODE_ENV": "production"},
      "wait_ready": true, "shutdown_with_message": true, "listen_timeout": 8000, "kill_timeout": "1600",
      "max_restarts": 10, "min_uptime": "5s", "node_args": ["--max-old-space-size=512"], "cwd": "/srv/web"}]})");
  EXPECT_THAT(toml, HasSubstr("[listeners.web]\naddress = \":8080\"\npool = \"web\"\n"));
  EXPECT_THAT(toml, HasSubstr(R"(command = ["node", "--max-old-space-size=512", "./server.js", "--quiet", "-x"])"));
  EXPECT_THAT(toml, HasSubstr("working-directory = \"/srv/web\"\n"));
  EXPECT_THAT(toml, HasSubstr("node-ready = \"message\"\nnode-farewell = \"message\"\n"));
  EXPECT_THAT(toml, HasSubstr("start-timeout = \"8s\"\ndrain-timeout = \"1600ms\"\n"));
  EXPECT_THAT(toml, HasSubstr("stable-time = \"5s\"\nstart-limit = 10\n"));
  EXPECT_THAT(toml, HasSubstr("[pools.web.environment]\nNODE_ENV = \"production\"\nPORT = \"8080\"\n"));
  EXPECT_THAT(toml, Not(HasSubstr("workers ="))) << "auto is what `max` means";
}

TEST(Pm2Import, AForkApplicationBindsForItself) {
  const std::string toml = imported(R"([{"name": "jobs", "script": "jobs.py", "interpreter": "python3"}])");
  EXPECT_THAT(toml, Not(HasSubstr("[listeners")));
  EXPECT_THAT(toml, HasSubstr("command = [\"python3\", \"jobs.py\"]\nintake = \"none\"\nworkers = 1\n"));
}

TEST(Pm2Import, WhatHasNoEquivalentIsSaid) {
  const std::string toml = imported(R"({"apps": [{"script": "a b/my app.js", "instances": 2, "watch": true,
      "vizion": true, "env_file": ".env"}]})");
  EXPECT_THAT(toml, HasSubstr("# watch: nothing restarts workers when files change"));
  EXPECT_THAT(toml, HasSubstr("# vizion: has no equivalent\n"));
  EXPECT_THAT(toml, HasSubstr("# env_file: a file of variables is not read"));
  EXPECT_THAT(toml, HasSubstr("the port of listen() in a b/my app.js is not known"));
  EXPECT_THAT(toml, HasSubstr("[pools.my_app]\n"));
}

TEST(Pm2Import, WhatEnvironmentsAddIsLaidOverTheRest) {
  const std::string toml = imported(R"({"apps": [{"name": "web", "script": "app.js", "instances": 2,
      "env": {"PORT": 3000, "A": "1"}, "env_production": {"PORT": 80, "B": "2"}}]})");
  EXPECT_THAT(toml, HasSubstr("# env_production: chosen by `--environment production`\n"));
  EXPECT_THAT(toml, HasSubstr("[environments.production.listeners.web]\naddress = \":80\"\n"));
  EXPECT_THAT(toml,
              HasSubstr("[environments.production.pools.web.environment]\nA = \"1\"\nB = \"2\"\nPORT = \"80\"\n"));
}

TEST(Pm2Import, WhoRunsAScriptIsReadFromItsName) {
  EXPECT_THAT(imported(R"({"script": "npm", "args": "start"})"), HasSubstr("command = [\"npm\", \"start\"]\n"));
  EXPECT_THAT(imported(R"({"script": "./x.sh"})"), HasSubstr("command = [\"bash\", \"./x.sh\"]\n"));
  EXPECT_THAT(imported(R"({"script": "./serve", "instances": 2})"),
              HasSubstr("command = [\"./serve\"]\nintake = \"none\"\n"));
  EXPECT_THAT(imported(R"({"script": "a.js", "args": "--x \"a b\" 'c d'"})"),
              HasSubstr("command = [\"node\", \"a.js\", \"--x\", \"a b\", \"c d\"]\n"));
}

TEST(Pm2Import, WhoItRunsAsIsTheUserOfThePool) {
  EXPECT_THAT(imported(R"({"script": "a.js", "uid": "www", "gid": "web"})"),
              HasSubstr("user = \"www\"\ngroup = \"web\"\n"));
}

TEST(Pm2Import, TwoWhosePortsAreNotKnownDoNotMeet) {
  const std::string toml =
      imported(R"([{"name": "a", "script": "a.js", "instances": 1}, {"name": "b", "script": "b.js", "instances": 1}])");
  EXPECT_THAT(toml, HasSubstr("address = \":3000\"\npool = \"a\""));
  EXPECT_THAT(toml, HasSubstr("address = \":3001\"\npool = \"b\""));
}

TEST(Pm2Import, WhatIsNoEcosystemFileIsAnError) {
  EXPECT_THAT(parse_pm2_file("{").error().message(), HasSubstr("not JSON"));
  EXPECT_THAT(parse_pm2_file("{\"apps\": []}").error().message(), HasSubstr("no applications"));
  EXPECT_THAT(parse_pm2_file("{\"apps\": [{\"name\": \"x\"}]}").error().message(), HasSubstr("'x' has no script"));
  EXPECT_THAT(parse_pm2_file("[3]").error().message(), HasSubstr("not an object"));
}

}  // namespace
}  // namespace holdfast
