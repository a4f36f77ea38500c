// A supervisor that is started from a file: what the file says is what runs, and what is wrong with it is told at once.
#include <gmock/gmock.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "support/supervisor.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;

constexpr int kUsage = 2;
constexpr int kBadConfiguration = 78;

class ConfigFiles : public testing::Test {
 protected:
  std::string write(const std::string& text) {
    write_text(path_, text);
    return path_;
  }
  [[nodiscard]] Ran holdfast(std::vector<std::string> arguments, std::vector<std::string> environment = {}) const {
    arguments.insert(arguments.begin(), holdfast_program());
    return run(std::move(arguments), std::move(environment));
  }
  // Two pools, each with a listener; each worker writes down its environment and serves.
  std::string two_pools() {
    const std::string worker = R"(["/bin/sh", "-c", "env >)" + (directory_ / "env") +
                               R"(.$HOLDFAST_POOL.$HOLDFAST_SLOT; exec )" + whoami_program() + R"("])";
    return write(R"([supervisor]
name = "pair"
[listeners.http]
address = "127.0.0.1:0"
[listeners.api]
address = "127.0.0.1:0"
pool = "api"
[pools.web]
intake = "sdk"
workers = 2
command = )" + worker +
                 R"(
environment = { COLOUR = "blue", PATH_TO = "x=y z", WHO = "slot {slot}" }
[pools.api]
intake = "sdk"
workers = 1
command = )" + worker +
                 R"(
[environments.test.pools.web]
workers = 1
environment = { COLOUR = "red" }
)");
  }
  // Of the worker in slot 0.
  [[nodiscard]] std::string variable(const std::string& pool, const std::string& name) const {
    std::istringstream lines(text_of(directory_ / ("env." + pool + ".0")));
    for (std::string line; std::getline(lines, line);) {
      if (line.starts_with(name + "=")) return line.substr(name.size() + 1);
    }
    return "(not set)";
  }

  TempDirectory directory_;
  std::string path_ = directory_ / "web.toml";
};

bool every_pool_serves(const std::string& status) {
  const auto json = nlohmann::json::parse(status, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return false;
  for (const auto& pool : json["pools"]) {
    for (const auto& slot : pool["slots"]) {
      if (slot["state"] != "serving") return false;
    }
  }
  return true;
}

// `holdfast run -c FILE OPTIONS...`, ended when it goes.
class Running {
 public:
  Running(const TempDirectory& directory, const std::string& file, const std::vector<std::string>& options,
          std::vector<std::string> environment = {})
      : directory_(directory) {
    ProcessPlan plan;
    plan.command = {holdfast_program(), "run", "-c", file, "--control", directory / "control"};
    plan.command.insert(plan.command.end(), options.begin(), options.end());
    plan.environment = std::move(environment);
    plan.output_file = directory / "out";
    plan.error_file = directory / "err";
    process_ = std::make_unique<Process>(plan);
  }
  ~Running() {
    process_->signal(SIGQUIT);
    EXPECT_TRUE(process_->exit_code()) << "SIGQUIT does not end it";
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;

  StatusView wait_until_serving() {
    StatusView view;
    EXPECT_TRUE(eventually([&] {
      if (!process_->running()) return true;
      const Ran ran = run({holdfast_program(), "status", "--json", "--control", directory_ / "control"});
      if (ran.exit_code != 0) return false;
      view = view_of(ran.output);
      return every_pool_serves(ran.output);
    }));
    EXPECT_TRUE(process_->running()) << text_of(directory_ / "err");
    return view;
  }

 private:
  const TempDirectory& directory_;
  std::unique_ptr<Process> process_;
};

TEST_F(ConfigFiles, RunsEveryPoolWithItsListenersAndItsEnvironment) {
  adopt_orphans();
  Running supervisor(directory_, two_pools(), {});
  const StatusView status = supervisor.wait_until_serving();
  ASSERT_EQ(status.listeners.size(), 2U);
  for (const auto& listener : status.listeners)
    EXPECT_TRUE(get_once(endpoint(listener.address), "/")) << listener.address;
  EXPECT_EQ(variable("web", "COLOUR"), "blue");
  EXPECT_EQ(variable("web", "PATH_TO"), "x=y z");
  EXPECT_EQ(variable("web", "WHO"), "slot 0");
  EXPECT_EQ(variable("api", "COLOUR"), "(not set)");
  EXPECT_EQ(variable("web", "HOLDFAST_SLOTS"), "2");
  EXPECT_EQ(variable("api", "HOLDFAST_SLOTS"), "1");
}

TEST_F(ConfigFiles, OfSeveralPoolsHaveEachSlotNamedWithItsPool) {
  adopt_orphans();
  Running supervisor(directory_, two_pools(), {});
  supervisor.wait_until_serving();
  for (const char* verb : {"drain", "undrain", "restart"}) {
    const Ran ran = holdfast({verb, "--control", directory_ / "control", "0"});
    EXPECT_EQ(ran.exit_code, 2) << verb;
    EXPECT_THAT(ran.errors, HasSubstr("there are several pools: say which one, web/0 or api/0"));
  }
  EXPECT_EQ(holdfast({"restart", "--control", directory_ / "control", "--wait", "api/0"}).exit_code, 0);
}

TEST_F(ConfigFiles, LaysTheChosenEnvironmentAndTheCommandLineOver) {
  adopt_orphans();
  Running supervisor(directory_, two_pools(), {"--environment", "test", "--set", "pools.api.workers=2"},
                     {"COLOUR=green"});
  supervisor.wait_until_serving();
  EXPECT_EQ(variable("web", "COLOUR"), "red");
  EXPECT_EQ(variable("web", "PATH_TO"), "x=y z");
  EXPECT_EQ(variable("web", "HOLDFAST_SLOTS"), "1");
  EXPECT_EQ(variable("api", "HOLDFAST_SLOTS"), "2");
  EXPECT_EQ(variable("api", "COLOUR"), "green");
}

TEST_F(ConfigFiles, MayBeNamedByVariables) {
  adopt_orphans();
  const Ran ran = holdfast({"check", "--json"}, {"HOLDFAST_CONFIG=" + two_pools(), "HOLDFAST_ENVIRONMENT=test"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_THAT(ran.output, HasSubstr("\"environment\": \"test\""));
}

TEST_F(ConfigFiles, ThePoolOfAnOuterSupervisorIsNotTheOneThatIsMeant) {
  const std::string file = two_pools();
  EXPECT_EQ(holdfast({"check", "-c", file}, {"HOLDFAST_POOL=outer", "HOLDFAST_SLOT=1"}).exit_code, 0);
  EXPECT_EQ(holdfast({"check", "-c", file}, {"HOLDFAST_POOL=outer"}).exit_code, kBadConfiguration);
}

TEST_F(ConfigFiles, CheckShowsWhatIsInForceAndWhereItComesFrom) {
  const Ran ran = holdfast({"check", "-c", two_pools(), "--set", "pools.web.surge=3", "--backlog", "7"},
                           {"HOLDFAST_LOG_LEVEL=error"});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_EQ(ran.errors, "");
  std::set<std::string> lines;
  std::istringstream stream(ran.output);
  for (std::string line; std::getline(stream, line);) {
    std::istringstream words(line);
    std::string key, value, reload, from;
    words >> key >> value >> reload;
    std::getline(words >> std::ws, from);
    lines.insert(key + " " + value + " " + reload + " " + from);
  }
  for (const char* line : {"supervisor.name \"pair\" restart line 2", "supervisor.backlog 7 restart --backlog",
                           "supervisor.log-level \"error\" live HOLDFAST_LOG_LEVEL", "pools.web.surge 3 live --set",
                           "pools.api.workers 1 live line 15", "pools.api.canary \"0s\" live default"}) {
    EXPECT_TRUE(lines.contains(line)) << line << "\n" << ran.output;
  }
}

TEST_F(ConfigFiles, CheckTellsEveryMistakeWithItsPlaceAndRunStartsNothing) {
  adopt_orphans();
  const std::string file =
      write("[supervisor]\nbacklog = 0\n[listeners.a]\naddress = \"x\"\n[pools.web]\nstrat-timeout = 1\n");
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"check", "-c", file}, {"run", "-c", file, "--control", directory_ / "control"}}) {
    const Ran ran = holdfast(arguments);
    EXPECT_EQ(ran.exit_code, kBadConfiguration);
    EXPECT_EQ(ran.output, "");
    EXPECT_THAT(ran.errors, HasSubstr(file + ":2:1: backlog must be at least 1\n"));
    EXPECT_THAT(ran.errors, HasSubstr(file + ":4:11: address: listen address 'x'"));
    EXPECT_THAT(ran.errors, HasSubstr(file + ":5:8: pool 'web' has no command"));
    EXPECT_THAT(ran.errors,
                HasSubstr(file + ":6:1: unknown key strat-timeout in [pools.web], did you mean 'start-timeout'?\n"));
    EXPECT_EQ(std::count(ran.errors.begin(), ran.errors.end(), '\n'), 4) << ran.errors;
  }
  EXPECT_TRUE(orphans().empty());
  EXPECT_TRUE(directory_.sockets().empty());
}

TEST_F(ConfigFiles, CheckFindsACommandThatIsNotThere) {
  const std::string file = write("[listeners.a]\naddress = \"127.0.0.1:0\"\n[pools.web]\ncommand = [\"./no-such\"]\n");
  const Ran ran = holdfast({"check", "-c", file});
  EXPECT_EQ(ran.exit_code, kBadConfiguration);
  EXPECT_THAT(ran.errors, HasSubstr(file + ":4:1: "));
  EXPECT_THAT(ran.errors, HasSubstr("No such file"));
}

TEST_F(ConfigFiles, AFileThatIsNotThereIsToldWithWhatToDo) {
  const Ran ran = holdfast({"run", "-c", path_});
  EXPECT_EQ(ran.exit_code, kBadConfiguration);
  EXPECT_EQ(ran.errors,
            "holdfast: read " + path_ + ": No such file or directory (`holdfast init " + path_ + "` writes one)\n");
}

TEST_F(ConfigFiles, CheckTakesACommandLineWithoutAFileToo) {
  EXPECT_EQ(holdfast({"check", "-l", "127.0.0.1:0", "--", whoami_program()}).exit_code, 0);
  const Ran ran = holdfast({"check", "-l", "127.0.0.1:0", "--surge", "0", "--", whoami_program()});
  EXPECT_EQ(ran.exit_code, kBadConfiguration);
  EXPECT_EQ(ran.errors, "holdfast: --surge 0 would renew nothing\n");
  EXPECT_EQ(holdfast({"check", "--frobnicate"}).exit_code, kUsage);
}

TEST_F(ConfigFiles, InitWritesAFileThatIsAStartAndNeverOverwritesOne) {
  const Ran ran = holdfast({"init", path_});
  EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  EXPECT_THAT(ran.output, HasSubstr("holdfast check -c " + path_));
  EXPECT_EQ(text_of(path_), holdfast({"init", "-"}).output);
  const Ran check = holdfast({"check", "-c", path_, "--set", "pools.main.command=[\"" + whoami_program() + "\"]"});
  EXPECT_EQ(check.exit_code, 0) << check.errors;

  write("mine");
  const Ran again = holdfast({"init", path_});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_THAT(again.errors, HasSubstr("File exists"));
  EXPECT_EQ(text_of(path_), "mine");
}

}  // namespace
}  // namespace holdfast::test
