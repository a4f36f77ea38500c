#pragma once

#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <vector>

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

// This process can open nothing while it lives.
class NoDescriptors {
 public:
  NoDescriptors() {
    for (int fd = ::dup(STDIN_FILENO); fd >= 0; fd = ::dup(STDIN_FILENO)) all_.push_back(fd);
  }
  NoDescriptors(const NoDescriptors&) = delete;
  NoDescriptors& operator=(const NoDescriptors&) = delete;
  ~NoDescriptors() {
    for (const int fd : all_) ::close(fd);
  }

 private:
  DescriptorLimit limit_{256};
  std::vector<int> all_;
};

}  // namespace holdfast::test
