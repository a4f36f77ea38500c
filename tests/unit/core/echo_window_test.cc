#include "core/echo_window.h"

#include <gtest/gtest.h>

namespace holdfast {
namespace {

TEST(EchoWindow, HasWhatHasNotComeBack) {
  EchoWindow window;
  EXPECT_EQ(window.unheard(), 0u);
  window.on_said(100);
  window.on_said(50);
  EXPECT_EQ(window.unheard(), 150u);
  window.on_heard(100);
  EXPECT_EQ(window.unheard(), 50u);
  window.on_heard(50);
  EXPECT_EQ(window.unheard(), 0u);
}

TEST(EchoWindow, ABeatThatComesBackTellsWhatNeverWill) {
  EchoWindow window;
  window.on_said(100);  // nobody heard the channel yet
  window.on_beat_said();
  window.on_said(20);
  window.on_beat_heard();
  EXPECT_EQ(window.unheard(), 20u);
  window.on_heard(20);
  EXPECT_EQ(window.unheard(), 0u);
}

// Then it knows less than it could, and all of it with the next ones.
TEST(EchoWindow, ABeatThatIsLostItselfIsMadeUpFor) {
  EchoWindow window;
  window.on_beat_said();  // lost
  window.on_said(100);    // lost
  window.on_beat_said();
  window.on_beat_heard();
  EXPECT_EQ(window.unheard(), 100u);
  window.on_beat_said();
  window.on_beat_heard();
  EXPECT_EQ(window.unheard(), 0u);
}

TEST(EchoWindow, NothingMoreComesBackThanWasSaid) {
  EchoWindow window;
  window.on_heard(7);
  window.on_beat_heard();
  EXPECT_EQ(window.unheard(), 0u);
  window.on_said(5);
  EXPECT_EQ(window.unheard(), 5u);
}

}  // namespace
}  // namespace holdfast
