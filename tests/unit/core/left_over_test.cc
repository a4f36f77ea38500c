#include "core/left_over.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

ProcessFacts worker(std::int64_t pid, std::int64_t parent, std::int64_t group, const std::string& notify) {
  return {pid, parent, group, true, notify};
}

TEST(LeftOver, IsAWorkerThatNobodyKnowsAndWhatItHasStarted) {
  const std::vector<ProcessFacts> processes = {worker(10, 1, 10, "@a"), worker(20, 1, 20, "@b"),
                                               worker(21, 20, 20, "@b"), ProcessFacts{30, 1, 30, false, ""}};
  EXPECT_THAT(left_over(processes, {{10}, {"@a"}}), ElementsAre(20, 21));
  EXPECT_THAT(left_over(processes, {}), ElementsAre(10, 20, 21));
}

TEST(LeftOver, IsNothingThatAKnownWorkerHasStarted) {
  const KnownWorkers known{{10}, {"@a"}};
  EXPECT_THAT(left_over(std::vector{worker(10, 1, 10, "@a"), worker(11, 10, 10, "@a")}, known), IsEmpty());
  // In a group of its own; a supervisor below us, and a worker of that.
  EXPECT_THAT(
      left_over(std::vector{worker(10, 1, 10, "@a"), worker(11, 10, 11, "@c"), worker(12, 11, 12, "@d")}, known),
      IsEmpty());
  // Gone to the background: its parents have ended.
  EXPECT_THAT(left_over(std::vector{worker(10, 1, 10, "@a"), worker(15, 1, 15, "@a")}, known), IsEmpty());
}

TEST(LeftOver, LooksAtACircleOnce) {
  EXPECT_THAT(left_over(std::vector{worker(10, 11, 10, "@a"), worker(11, 10, 11, "@b")}, {{30}, {}}),
              ElementsAre(10, 11));
}

}  // namespace
}  // namespace holdfast
