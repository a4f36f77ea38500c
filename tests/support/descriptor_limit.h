#pragma once

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

namespace holdfast::test {

inline unsigned open_descriptors() {
  DIR* const directory = ::opendir("/proc/self/fd");
  unsigned count = 0;
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count - 3;  // ".", ".." and the directory
}

// Lowers this process's soft limit for the length of a test.
class DescriptorLimit {
 public:
  explicit DescriptorLimit(unsigned limit) {
    ::getrlimit(RLIMIT_NOFILE, &saved_);
    rlimit wanted = saved_;
    wanted.rlim_cur = limit;
    EXPECT_EQ(::setrlimit(RLIMIT_NOFILE, &wanted), 0);
  }
  DescriptorLimit(const DescriptorLimit&) = delete;
  DescriptorLimit& operator=(const DescriptorLimit&) = delete;
  ~DescriptorLimit() { ::setrlimit(RLIMIT_NOFILE, &saved_); }

 private:
  rlimit saved_;
};

}  // namespace holdfast::test
