#include "sys/machine.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

#include "support/temp_directory.h"

namespace holdfast {
namespace {

TEST(Machine, ARandomHashKeyIsAnotherOneEachTime) {
  const Result<HashKey> one = random_hash_key();
  const Result<HashKey> another = random_hash_key();
  ASSERT_TRUE(one && another);
  EXPECT_NE(*one, HashKey{});
  EXPECT_NE(*one, *another);
}

TEST(Machine, ItsHashKeyIsTheSameEachTime) {
  const Result<HashKey> one = machine_hash_key();
  if (!one) GTEST_SKIP() << one.error().message();
  const Result<HashKey> again = machine_hash_key();
  ASSERT_TRUE(again);
  EXPECT_EQ(*one, *again);
  EXPECT_NE(*one, HashKey{});
}

TEST(Machine, ThatLacksACpuSaysWhichThereAre) {
  EXPECT_TRUE(check_cpus({}));
  const Outcome missing = check_cpus({8191});
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().message().find("CPU 8191: this machine lets us run on "), std::string::npos)
      << missing.error().message();
}

TEST(Machine, HasACpuForUs) { EXPECT_GE(usable_cpus(), 1U); }

TEST(Machine, TheQuotasOfAControlGroupAndAllAboveItCount) {
  const test::TempDirectory root;
  std::filesystem::create_directories(root / "a/b");
  test::write_text(root / "cpu.max", "max 100000\n");
  test::write_text(root / "a/cpu.max", "150000 100000\n");
  test::write_text(root / "a/b/cpu.max", "400000 100000\n");
  EXPECT_EQ(cpu_quotas(root.path(), "/a/b"), (std::vector<double>{4.0, 1.5}));
  EXPECT_EQ(cpu_quotas(root.path(), "/"), std::vector<double>{});
  EXPECT_EQ(cpu_quotas(root.path(), "/nowhere"), std::vector<double>{});
}

}  // namespace
}  // namespace holdfast
