#include "sys/unique_fd.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <utility>
#include <vector>

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

TEST(CloseAll, ClosesRunsAndSinglesAndNothingElse) {
  constexpr int kFirst = 200;
  std::vector<UniqueFd> fds;
  // Out of order: 200..203 is a run, 205 stands alone, 204 belongs to somebody else.
  const UniqueFd neighbour(::dup2(STDERR_FILENO, kFirst + 4));
  for (const int offset : {3, 0, 5, 1, 2}) fds.emplace_back(::dup2(STDERR_FILENO, kFirst + offset));
  fds.emplace_back();
  close_all(std::move(fds));
  for (const int offset : {0, 1, 2, 3, 5}) EXPECT_FALSE(is_open(kFirst + offset)) << offset;
  EXPECT_TRUE(is_open(neighbour.get()));
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
