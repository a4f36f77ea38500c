#include "wire/service_news.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace holdfast {
namespace {

using testing::HasSubstr;
using testing::Not;
using Phase = ServiceState::Phase;

constexpr TimePoint kNow{std::chrono::microseconds(1234567)};

ServiceState state(Phase phase, unsigned serving, const std::string& trouble = "") {
  return {phase, serving > 0, serving, 4, trouble};
}

TEST(ServiceNews, IsReadyOnceEveryPoolServesAndSaysItOnce) {
  ServiceNews news;
  EXPECT_EQ(news.on_state(state(Phase::Running, 0), kNow), "STATUS=starting: 0 of 4 workers serve");
  EXPECT_EQ(news.on_state(state(Phase::Running, 0), kNow), std::nullopt);
  EXPECT_EQ(news.on_state(state(Phase::Running, 1), kNow), "READY=1\nSTATUS=1 of 4 workers serve");
  EXPECT_EQ(news.on_state(state(Phase::Running, 4), kNow), "STATUS=4 of 4 workers serve");
  // A worker's death later is no reason not to be ready.
  EXPECT_EQ(news.on_state(state(Phase::Running, 0), kNow), "STATUS=0 of 4 workers serve");
  EXPECT_EQ(news.on_state(state(Phase::Running, 4), kNow), "STATUS=4 of 4 workers serve");
}

TEST(ServiceNews, AReloadBeginsAndEnds) {
  ServiceNews news;
  (void)news.on_state(state(Phase::Running, 4), kNow);
  EXPECT_EQ(news.on_state(state(Phase::Reloading, 4), kNow),
            "RELOADING=1\nMONOTONIC_USEC=1234567\nSTATUS=reloading: 4 of 4 workers serve");
  EXPECT_EQ(news.on_state(state(Phase::Reloading, 3), kNow), "STATUS=reloading: 3 of 4 workers serve");
  EXPECT_EQ(news.on_state(state(Phase::Running, 4, "line 3: no\nmore"), kNow),
            "READY=1\nSTATUS=4 of 4 workers serve; the last reload failed: line 3: no");
}

TEST(ServiceNews, AReloadWhileItStartsIsAPartOfTheStart) {
  ServiceNews news;
  EXPECT_THAT(*news.on_state(state(Phase::Reloading, 0), kNow), Not(HasSubstr("RELOADING")));
  EXPECT_THAT(*news.on_state(state(Phase::Running, 0), kNow), Not(HasSubstr("READY")));
  EXPECT_THAT(*news.on_state(state(Phase::Running, 1), kNow), HasSubstr("READY=1\n"));
}

TEST(ServiceNews, StoppingIsSaidOnce) {
  ServiceNews news;
  (void)news.on_state(state(Phase::Running, 4), kNow);
  EXPECT_EQ(news.on_state(state(Phase::Stopping, 4), kNow), "STOPPING=1\nSTATUS=stopping: 4 of 4 workers serve");
  EXPECT_EQ(news.on_state(state(Phase::Stopping, 0), kNow), "STATUS=stopping: 0 of 4 workers serve");
}

// A service that ends before it was ready is started again.
TEST(ServiceNews, WhoIsToldToStopWhileItStartsIsReadyFirst) {
  ServiceNews news;
  (void)news.on_state(state(Phase::Running, 0), kNow);
  EXPECT_EQ(news.on_state(state(Phase::Stopping, 0), kNow), "READY=1");
  EXPECT_EQ(news.on_state(state(Phase::Stopping, 0), kNow), "STOPPING=1\nSTATUS=stopping: 0 of 4 workers serve");
  EXPECT_EQ(news.on_state(state(Phase::Stopping, 0), kNow), std::nullopt);
}

TEST(ServiceNews, WhoGivesUpBeforeItServesHasNeverBeenReady) {
  ServiceNews news;
  EXPECT_EQ(news.on_state(state(Phase::GivingUp, 0), kNow), "STOPPING=1\nSTATUS=giving up: 0 of 4 workers serve");
  EXPECT_EQ(news.on_state(state(Phase::GivingUp, 0), kNow), std::nullopt);
}

TEST(ServiceNews, AsksForMoreTimeAsLongAsSomethingTakesLong) {
  ServiceNews news;
  EXPECT_EQ(news.on_period(), "EXTEND_TIMEOUT_USEC=15000000");
  (void)news.on_state(state(Phase::Running, 0), kNow);
  EXPECT_TRUE(news.on_period());
  (void)news.on_state(state(Phase::Running, 4), kNow);
  EXPECT_EQ(news.on_period(), std::nullopt);
  (void)news.on_state(state(Phase::Reloading, 4), kNow);
  EXPECT_TRUE(news.on_period());
  (void)news.on_state(state(Phase::Running, 4), kNow);
  EXPECT_EQ(news.on_period(), std::nullopt);
  (void)news.on_state(state(Phase::Stopping, 4), kNow);
  EXPECT_TRUE(news.on_period());
}

}  // namespace
}  // namespace holdfast
