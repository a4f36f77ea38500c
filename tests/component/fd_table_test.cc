#include "sys/fd_table.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "sys/stream.h"

namespace holdfast::test {
namespace {

TEST(FdTable, ANameStandsForTheFileAndNotForItsNumber) {
  const UniqueFd one(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const UniqueFd other(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const UniqueFd page(::memfd_create("page", MFD_CLOEXEC));
  const Result<UniqueFd> again = duplicate(one);
  ASSERT_TRUE(again);
  EXPECT_EQ(lasting_name("a", one), lasting_name("a", *again));
  EXPECT_NE(lasting_name("a", one), lasting_name("a", other));
  EXPECT_NE(lasting_name("a", one), lasting_name("b", one));
  EXPECT_EQ(lasting_name("a", page).substr(0, 2), "a.");
}

TEST(FdTable, GivesEachDescriptorOnce) {
  const int fd = ::fcntl(STDIN_FILENO, F_DUPFD, 50);
  ASSERT_GE(fd, 50);
  FdTable table = FdTable::inherited({{"it", fd}, {"nothing", 1000}, {"the standard output", 1}});
  EXPECT_EQ(table.size(), 1u);
  EXPECT_EQ(::fcntl(fd, F_GETFD), FD_CLOEXEC);
  const Result<UniqueFd> taken = table.take("it");
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->get(), fd);
  const Result<UniqueFd> once_more = table.take("it");
  ASSERT_FALSE(once_more);
  EXPECT_EQ(once_more.error().message(), "take over 'it': Bad file descriptor");
}

TEST(FdTable, ClosesWhatNobodyTakes) {
  const int fd = ::fcntl(STDIN_FILENO, F_DUPFD, 50);
  { const FdTable table = FdTable::inherited({{"it", fd}}); }
  EXPECT_EQ(::fcntl(fd, F_GETFD), -1);
}

TEST(FdList, LeavesOutWhatIsNotThere) {
  FdList list;
  EXPECT_EQ(list.add("a", UniqueFd()), "");
  EXPECT_EQ(list.add_as("pidfd.3", BorrowedFd(0)), "pidfd.3");
  EXPECT_EQ(list.numbers(), (std::map<std::string, int>{{"pidfd.3", 0}}));
}

}  // namespace
}  // namespace holdfast::test
