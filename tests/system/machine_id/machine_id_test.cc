// A machine without a machine id, as most containers are: Holdfast serves all the same, and says what is different.
#include <gtest/gtest.h>
#include <unistd.h>

#include "support/supervisor.h"

namespace holdfast::test {
namespace {

TEST(MachineId, WithoutOneARandomKeyIsUsedAndTold) {
  if (geteuid() != 0) GTEST_SKIP() << "only root may hide the machine id from a process";
  const TempDirectory directory;
  // The start limit ends the supervisor: its worker never becomes ready.
  const std::string holdfast =
      holdfast_program() + " run --control " + (directory / "c") + " -l 127.0.0.1:0 -w 1 --start-limit 1 -- false";
  const Ran hidden =
      run({"unshare", "--mount", "sh", "-c",
           "[ ! -e /etc/machine-id ] || mount --bind /dev/null /etc/machine-id || exit 99; " + holdfast});
  if (hidden.exit_code == 99) GTEST_SKIP() << "mounting is not allowed here: " << hidden.errors;
  EXPECT_EQ(hidden.exit_code, 75) << hidden.errors;
  EXPECT_NE(hidden.errors.find("machine id"), std::string::npos) << hidden.errors;
  EXPECT_NE(hidden.errors.find("--hash-key"), std::string::npos) << hidden.errors;

  const Ran given =
      run({"unshare", "--mount", "sh", "-c",
           "[ ! -e /etc/machine-id ] || mount --bind /dev/null /etc/machine-id; HOLDFAST_HASH_KEY=0123456789abcdef " +
               holdfast});
  EXPECT_EQ(given.errors.find("machine id"), std::string::npos) << given.errors;
}

}  // namespace
}  // namespace holdfast::test
