#include "sys/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>

#include "component/kernel_fixtures.h"

namespace holdfast {
namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

TEST(UniqueFd, ClosesWhatItOwnsOnce) {
  Pipe pipe = make_pipe();
  const int number = pipe.write.get();
  {
    const UniqueFd owner(std::move(pipe.write));
    EXPECT_TRUE(is_open(number));
    EXPECT_FALSE(pipe.write);
  }
  EXPECT_FALSE(is_open(number));
}

TEST(UniqueFd, AssignmentClosesTheOldDescriptorAndReleaseClosesNothing) {
  Pipe pipe = make_pipe();
  const int read_number = pipe.read.get();
  const int write_number = pipe.write.get();
  pipe.read = std::move(pipe.write);
  EXPECT_FALSE(is_open(read_number));
  const int released = pipe.read.release();
  EXPECT_EQ(released, write_number);
  EXPECT_TRUE(is_open(write_number));
  pipe.read.reset(released);
}

TEST(UniqueFd, KeepsErrno) {
  Pipe pipe = make_pipe();
  errno = ENOSPC;
  pipe.read.reset();
  EXPECT_EQ(errno, ENOSPC);
}

TEST(UniqueFdDeathTest, ClosingADescriptorThatIsNotOpenEndsTheProcess) {
  EXPECT_DEATH(
      {
        Pipe pipe = make_pipe();
        ::close(pipe.read.get());
        pipe.read.reset();
      },
      "closed a descriptor that was not open");
}

}  // namespace
}  // namespace holdfast
