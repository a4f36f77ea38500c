#include "loop/background.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "run_until.h"

namespace holdfast::test {
namespace {

TEST(Background, WorksInAnotherThreadAndIsHeardInTheLoop) {
  Loop loop;
  std::thread::id worked;
  std::optional<std::thread::id> heard;
  std::unique_ptr<Background> background;
  background = Background::start(
      loop, [&] { worked = std::this_thread::get_id(); },
      [&] {
        heard = std::this_thread::get_id();
        background.reset();  // which it may
      });
  EXPECT_FALSE(heard);
  ASSERT_TRUE(run_until(loop, [&] { return heard.has_value(); }));
  EXPECT_EQ(heard, std::this_thread::get_id());
  EXPECT_NE(worked, std::this_thread::get_id());
}

TEST(Background, TheLoopGoesOnMeanwhile) {
  Loop loop;
  std::atomic<bool> go = false;
  bool done = false, turned = false;
  const auto background = Background::start(
      loop, [&] { go.wait(false); }, [&] { done = true; });
  loop.defer([&] { turned = true; });
  ASSERT_TRUE(run_until(loop, [&] { return turned; }));
  EXPECT_FALSE(done);
  go = true;
  go.notify_one();
  EXPECT_TRUE(run_until(loop, [&] { return done; }));
}

TEST(Background, WhoGivesItUpHearsNothing) {
  bool heard = false;
  {
    Loop loop;
    (void)Background::start(
        loop, [] {}, [&] { heard = true; });
  }
  EXPECT_FALSE(heard);
}

}  // namespace
}  // namespace holdfast::test
