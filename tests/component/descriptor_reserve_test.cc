#include "sys/descriptor_reserve.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <optional>
#include <vector>

#include "component/kernel_fixtures.h"
#include "sys/sockets.h"

namespace holdfast {
namespace {

// How many descriptors can be opened now.
std::size_t available() {
  std::vector<UniqueFd> taken;
  for (int fd = 0; (fd = ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)) >= 0;) taken.emplace_back(fd);
  return taken.size();
}

TEST(DescriptorReserve, IsThereWhenNothingElseIs) {
  DescriptorReserve reserve(7);
  const FewDescriptors none_left(0);
  ASSERT_EQ(available(), 0U);
  {
    const auto released = reserve.release();
    EXPECT_EQ(available(), 7U);
  }
  EXPECT_EQ(available(), 0U);
  EXPECT_EQ(reserve.held(), 7U);
}

TEST(DescriptorReserve, TakesBackWhatIsLeftAndTheRestWhenItCan) {
  DescriptorReserve reserve(7);
  std::optional<FewDescriptors> none_left(0);
  std::vector<UniqueFd> used;
  {
    const auto released = reserve.release();
    for (int i = 0; i < 3; ++i) used.emplace_back(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
  }
  EXPECT_EQ(reserve.held(), 4U);
  reserve.refill();
  EXPECT_EQ(reserve.held(), 4U);
  used.pop_back();
  reserve.refill();
  EXPECT_EQ(reserve.held(), 5U);
  EXPECT_EQ(available(), 0U);
  none_left.reset();
  reserve.refill();
  EXPECT_EQ(reserve.held(), 7U);
}

TEST(DescriptorReserve, ItsDescriptorsAreForNoChildAndGoWithIt) {
  const std::uint64_t before = open_file_count();
  const UniqueFd next(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
  {
    const DescriptorReserve reserve(3);
    EXPECT_EQ(open_file_count(), before + 4);
    EXPECT_EQ(::fcntl(next.get() + 1, F_GETFD), FD_CLOEXEC);
  }
  EXPECT_EQ(open_file_count(), before + 1);
}

}  // namespace
}  // namespace holdfast
