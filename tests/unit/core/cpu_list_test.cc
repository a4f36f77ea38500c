#include "core/cpu_list.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

CpuList parsed(std::string_view text) {
  const Result<CpuList> cpus = parse_cpu_list(text);
  EXPECT_TRUE(cpus) << cpus.error().message();
  return cpus ? *cpus : CpuList{};
}

std::string refusal(std::string_view text) {
  const Result<CpuList> cpus = parse_cpu_list(text);
  return cpus ? "accepted" : cpus.error().message();
}

TEST(CpuList, ReadsNumbersAndRangesInTheirOrder) {
  EXPECT_THAT(parsed("0-3,8,10-11"), ElementsAre(0, 1, 2, 3, 8, 10, 11));
  EXPECT_THAT(parsed("8,0-1"), ElementsAre(8, 0, 1));
  EXPECT_THAT(parsed("5"), ElementsAre(5));
  EXPECT_THAT(parsed("5-5"), ElementsAre(5));
  EXPECT_THAT(parsed("8191"), ElementsAre(8191));
}

TEST(CpuList, RefusesWhatIsNoList) {
  for (const char* const text :
       {"", ",", "1,", ",1", "a", "1-", "-1", "1-2-3", "0 1", "8192", "0-99999999999", "0x1"}) {
    EXPECT_THAT(refusal(text), HasSubstr("write for instance 0-3,8")) << text;
  }
  EXPECT_EQ(refusal("0,7-4"), "CPU list '0,7-4': the range 7-4 runs backwards; write 4-7");
  EXPECT_EQ(refusal("0-3,2"), "CPU list '0-3,2': CPU 2 is in it twice; name each once");
}

TEST(CpuList, IsDealtOutOverTheSlots) {
  const CpuList four{0, 1, 2, 3};
  EXPECT_THAT(cpus_of_slot(four, SlotId{2}, 4), ElementsAre(2));
  const CpuList six{0, 1, 2, 3, 8, 9};
  EXPECT_THAT(cpus_of_slot(six, SlotId{0}, 4), ElementsAre(0, 8));
  EXPECT_THAT(cpus_of_slot(six, SlotId{1}, 4), ElementsAre(1, 9));
  EXPECT_THAT(cpus_of_slot(six, SlotId{3}, 4), ElementsAre(3));
  EXPECT_THAT(cpus_of_slot(six, SlotId{0}, 1), ElementsAre(0, 1, 2, 3, 8, 9));
}

TEST(CpuList, SlotsShareWhereThereAreMoreOfThemThanCpus) {
  EXPECT_THAT(cpus_of_slot({4, 6}, SlotId{0}, 5), ElementsAre(4));
  EXPECT_THAT(cpus_of_slot({4, 6}, SlotId{3}, 5), ElementsAre(6));
  EXPECT_THAT(cpus_of_slot({4, 6}, SlotId{4}, 5), ElementsAre(4));
}

TEST(CpuList, TheFirstCpuOfASlotDoesNotDependOnTheNumberOfSlots) {
  const CpuList list = parsed("0-6,9");
  for (unsigned slot = 0; slot < 20; ++slot) {
    for (std::size_t slots = slot + 1; slots < 40; ++slots) {
      ASSERT_EQ(cpus_of_slot(list, SlotId{slot}, slots).front(), list[slot % list.size()]);
    }
  }
}

}  // namespace
}  // namespace holdfast
