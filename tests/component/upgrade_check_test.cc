#include "upgrade/upgrade_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <optional>
#include <string>

#include "component/run_until.h"
#include "support/process.h"
#include "support/temp_directory.h"
#include "sys/next_program.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class UpgradeCheckTest : public testing::Test {
 protected:
  [[nodiscard]] std::string script(const std::string& lines) const {
    const std::string path = directory_ / "program";
    test::write_text(path, "#!/bin/sh\n" + lines + "\n");
    EXPECT_EQ(::chmod(path.c_str(), 0755), 0);
    return path;
  }
  // What was found, "" for a program that can take over.
  std::string verdict_on(const std::string& program, Duration limit = UpgradeCheck::kLimit) {
    const Result<UniqueFd> state = sealed_text("the state");
    std::optional<Outcome> verdict;
    Result<std::unique_ptr<UpgradeCheck>> check = UpgradeCheck::start(
        loop_, program, {"run", "-w", "2"}, *state,
        [&](Outcome outcome) {
          EXPECT_FALSE(verdict) << "told twice";
          verdict = std::move(outcome);
        },
        limit);
    if (!check) return check.error().message();
    EXPECT_TRUE(run_until(loop_, [&] { return verdict.has_value(); }));
    if (!verdict) return "none";
    return *verdict ? "" : verdict->error().message();
  }

  const test::TempDirectory directory_;
  Loop loop_;
};

TEST_F(UpgradeCheckTest, GivesTheStateAndOurArgumentsAndWantsToHearTheWord) {
  const std::string good = script(R"sh(test "$*" = "check-upgrade 3 -- run -w 2" || exit 9
test "$(cat /proc/self/fd/3)" = "the state" || exit 8
echo holdfast-takes-over 9.9)sh");
  EXPECT_EQ(verdict_on(good), "");
  EXPECT_THAT(verdict_on("/bin/true"), HasSubstr("is no holdfast that can take over"));
  EXPECT_THAT(verdict_on(script("echo holdfast-takes-over; exit 3")), HasSubstr("check-upgrade exited with code 3"));
}

TEST_F(UpgradeCheckTest, WhatHangsIsEndedAtItsLimitWithAllThatItHasStarted) {
  const std::string hangs = script("sleep 1000 & echo $! >" + (directory_ / "child") + "; sleep 1000");
  // Long enough that the second process is there, whatever the machine has to do: nothing else depends on it.
  EXPECT_EQ(verdict_on(hangs, 2s), hangs + " check-upgrade has not answered within 2s");
  const std::string child = test::text_of(directory_ / "child");
  if (child.empty()) return;  // it was not
  EXPECT_TRUE(run_until(loop_, [&] { return !test::alive(std::stoi(child)); }));
}

TEST_F(UpgradeCheckTest, WhatItSaysIsBounded) {
  const std::string why = verdict_on(script("yes >&2; echo holdfast-takes-over; exit 1"));
  EXPECT_THAT(why, HasSubstr("check-upgrade exited with code 1"));
  EXPECT_LE(why.size(), 32U * 1024);
}

}  // namespace
}  // namespace holdfast
