#include "sys/own_code.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace holdfast {
namespace {

// In KiB, of what is mapped from files.
long resident_of_files() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    long size = 0;
    if (word == "RssFile:" && status >> size) return size;
  }
  return 0;
}

TEST(OwnCode, IsForgottenAndComesBackWhenItIsNeeded) {
  const long before = resident_of_files();
  forget_used_code();
  const long after = resident_of_files();
  EXPECT_GT(after, 0);
  EXPECT_LT(after, before);
}

}  // namespace
}  // namespace holdfast
