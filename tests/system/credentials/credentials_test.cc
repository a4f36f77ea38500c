// As whom workers run, and what they may use.
#include <gmock/gmock.h>
#include <unistd.h>

#include <filesystem>
#include <sstream>

#include "support/supervisor.h"

namespace holdfast::test {
namespace {

using testing::HasSubstr;

constexpr int kPermission = 77;
constexpr int kBadConfiguration = 78;

class Credentials : public testing::Test {
 protected:
  // Workers that write down what they are before they serve.
  [[nodiscard]] SupervisorPlan plan(std::vector<std::string> options) const {
    SupervisorPlan plan;
    plan.workers = 1;
    plan.options = std::move(options);
    plan.command = {
        "/bin/sh", "-c",
        "{ id -u; id -g; id -G; umask; ulimit -Sn; ulimit -Hn; nice; } > " + told_ + "; exec " + whoami_program()};
    return plan;
  }
  [[nodiscard]] std::vector<std::string> told() const {
    std::istringstream text(text_of(told_));
    std::vector<std::string> lines;
    for (std::string line; std::getline(text, line);) lines.push_back(line);
    return lines;
  }

  TempDirectory directory_;
  std::string told_ = directory_ / "told";
};

TEST_F(Credentials, AnybodyMayChooseMaskLimitsAndToBeNice) {
  const Supervisor supervisor(plan({"--umask", "0037", "--limits", "nofile=300:400,core=0", "--nice", "3"}),
                              &directory_);
  supervisor.wait_until_serving();
  ASSERT_EQ(told().size(), 7U);
  EXPECT_EQ(told()[0], std::to_string(getuid()));
  EXPECT_EQ(told()[3], "0037");
  EXPECT_EQ(told()[4], "300");
  EXPECT_EQ(told()[5], "400");
  EXPECT_EQ(std::stoi(told()[6]), std::min(19, nice(0) + 3));
}

TEST_F(Credentials, ByRootWorkersAreStartedAsSomebodyElse) {
  if (getuid() != 0) GTEST_SKIP() << "only root can start workers as somebody else";
  std::filesystem::permissions(directory_.path(), std::filesystem::perms::all);
  for (const char* intake : {"sdk", "auto"}) {
    std::filesystem::remove(told_);
    const Supervisor supervisor(plan({"--user", "nobody", "--intake", intake}), &directory_);
    supervisor.wait_until_serving();
    ASSERT_EQ(told().size(), 7U);
    EXPECT_EQ(told()[0], "65534");
    EXPECT_EQ(told()[1], "65534");
    EXPECT_EQ(told()[2], "65534") << "none of root's groups";
    ASSERT_TRUE(get_once(supervisor.target(), "/"));
  }
}

TEST_F(Credentials, ByRootAGroupAlone) {
  if (getuid() != 0) GTEST_SKIP() << "only root can start workers in another group";
  std::filesystem::permissions(directory_.path(), std::filesystem::perms::all);
  const Supervisor supervisor(plan({"--group", "daemon"}), &directory_);
  supervisor.wait_until_serving();
  ASSERT_EQ(told().size(), 7U);
  EXPECT_EQ(told()[0], "0");
  EXPECT_EQ(told()[1], "1");
}

TEST_F(Credentials, NobodyElseMayAndIsToldSo) {
  std::vector<std::string> command = {holdfast_program(),
                                      "run",
                                      "-l",
                                      "127.0.0.1:0",
                                      "--control",
                                      directory_ / "control",
                                      "--user",
                                      getuid() == 0 ? "daemon" : "root",
                                      "--",
                                      whoami_program()};
  if (getuid() == 0) {
    const std::vector<std::string> as_nobody = {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"};
    command.insert(command.begin(), as_nobody.begin(), as_nobody.end());
  }
  const Ran ran = run(command);
  EXPECT_EQ(ran.exit_code, kPermission);
  EXPECT_THAT(ran.errors, HasSubstr("only root may"));
}

TEST_F(Credentials, OfAUserThatThereIsNotAreAMistake) {
  const std::string file = directory_ / "web.toml";
  write_text(
      file,
      "[listeners.main]\naddress = \"127.0.0.1:0\"\n[pools.web]\ncommand = [\"/bin/sh\"]\nuser = \"nosuchuser\"\n");
  const Ran checked = run({holdfast_program(), "check", "-c", file});
  EXPECT_EQ(checked.exit_code, kBadConfiguration);
  EXPECT_THAT(checked.errors, HasSubstr("web.toml:5:"));
  EXPECT_THAT(checked.errors, HasSubstr("there is no user 'nosuchuser'"));
  const Ran ran = run({holdfast_program(), "run", "-c", file, "--control", directory_ / "control"});
  EXPECT_EQ(ran.exit_code, kBadConfiguration);
  EXPECT_THAT(ran.errors, HasSubstr("there is no user 'nosuchuser'"));
}

TEST_F(Credentials, ALimitAboveTheHardOneIsToldWithItsStage) {
  if (getuid() == 0) GTEST_SKIP() << "root may raise every limit";
  SupervisorPlan above = plan({"--limits", "nofile=100000000", "--start-limit", "1"});
  const Supervisor supervisor(above, &directory_);
  supervisor.wait_until_told("set the limit nofile=100000000");
}

}  // namespace
}  // namespace holdfast::test
