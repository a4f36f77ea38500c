// A machine without a machine id, as most containers are: Holdfast serves all the same, and says what is different.
#include <gtest/gtest.h>
#include <unistd.h>

#include "support/supervisor.h"

namespace holdfast::test {
namespace {

constexpr const char* kMachineId = "/etc/machine-id";

// Runs a command of the shell where there is no machine id; nothing if the id cannot be hidden here.
std::optional<Ran> run_without_machine_id(const std::string& command) {
  if (access(kMachineId, F_OK) != 0) return run({"sh", "-c", command});
  const std::string hide = std::string("mount --bind /dev/null ") + kMachineId;
  if (run({"unshare", "--mount", "sh", "-c", hide}).exit_code != 0) return std::nullopt;
  return run({"unshare", "--mount", "sh", "-c", hide + " && " + command});
}

TEST(MachineId, WithoutOneARandomKeyIsUsedAndTold) {
  const TempDirectory directory;
  // The start limit ends the supervisor, because its worker never becomes ready.
  const std::string holdfast = "exec " + holdfast_program() + " run --control " + (directory / "c") +
                               " -l 127.0.0.1:0 -w 1 --start-limit 1 -- false";
  const std::optional<Ran> without = run_without_machine_id(holdfast);
  if (!without) GTEST_SKIP() << "only who may mount can hide the machine id from a process";
  EXPECT_EQ(without->exit_code, 75);
  EXPECT_NE(without->errors.find("machine id"), std::string::npos) << without->errors;
  EXPECT_NE(without->errors.find("--hash-key"), std::string::npos) << without->errors;

  const std::optional<Ran> given = run_without_machine_id("export HOLDFAST_HASH_KEY=0123456789abcdef; " + holdfast);
  ASSERT_TRUE(given);
  EXPECT_EQ(given->exit_code, 75);
  EXPECT_EQ(given->errors.find("machine id"), std::string::npos) << given->errors;
}

TEST(MachineId, AStartThatFailsDoesNotTalkOfTheHashKey) {
  const TempDirectory directory;
  const std::optional<Ran> failed =
      run_without_machine_id("exec " + holdfast_program() + " run --control " + (directory / "c") +
                             " -l unix:" + (directory / "none/x") + " -- true");
  if (!failed) GTEST_SKIP() << "only who may mount can hide the machine id from a process";
  EXPECT_EQ(failed->exit_code, 69);
  EXPECT_NE(failed->errors.find("make the directory first"), std::string::npos) << failed->errors;
  EXPECT_EQ(failed->errors.find("hash key"), std::string::npos) << failed->errors;
}

}  // namespace
}  // namespace holdfast::test
