#include "core/cpu_quota.h"

#include <gtest/gtest.h>

#include <vector>

namespace holdfast {
namespace {

TEST(CpuQuota, IsReadFromCpuMax) {
  EXPECT_EQ(parse_cpu_max("150000 100000\n"), 1.5);
  EXPECT_EQ(parse_cpu_max("200000 100000"), 2.0);
  for (const char* none : {"max 100000\n", "", "150000", "150000 0", "-1 100000", "150000 100000 x"}) {
    EXPECT_FALSE(parse_cpu_max(none)) << none;
  }
}

TEST(CpuQuota, TheGroupIsThatOfTheOneHierarchy) {
  EXPECT_EQ(unified_cgroup("0::/system.slice/web.service\n"), "/system.slice/web.service");
  EXPECT_EQ(unified_cgroup("4:memory:/a\n0::/\n1:cpu:/b\n"), "/");
  EXPECT_FALSE(unified_cgroup("4:memory:/a\n1:cpu:/b\n"));
  EXPECT_FALSE(unified_cgroup(""));
}

TEST(CpuQuota, TheLeastOfAllIsWhatCounts) {
  EXPECT_EQ(cpus_allowed(8, {}), 8U);
  EXPECT_EQ(cpus_allowed(8, std::vector{16.0}), 8U);
  EXPECT_EQ(cpus_allowed(8, std::vector{4.0, 2.5}), 3U);
  EXPECT_EQ(cpus_allowed(8, std::vector{0.1}), 1U);
  EXPECT_EQ(cpus_allowed(0, {}), 1U);
}

}  // namespace
}  // namespace holdfast
