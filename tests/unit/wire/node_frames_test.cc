#include "wire/node_frames.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string frame(const std::string& message) {
  std::string bytes;
  for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(message.size() >> shift & 0xFFU);
  return bytes + message;
}

// Every message that is whole, and errors as they come.
std::vector<std::string> take(NodeFrames& frames) {
  std::vector<std::string> taken;
  for (;;) {
    const Result<std::optional<std::string_view>> message = frames.next();
    if (!message) {
      taken.push_back("error: " + message.error().message());
    } else if (!*message) {
      return taken;
    } else {
      taken.emplace_back(**message);
    }
  }
}

TEST(NodeFrames, ComeWhole) {
  NodeFrames frames(100);
  frames.push(frame("one") + frame("") + frame("two"));
  EXPECT_THAT(take(frames), ElementsAre("one", "", "two"));
  EXPECT_THAT(take(frames), IsEmpty());
}

TEST(NodeFrames, MayComeInAnyPieces) {
  const std::string bytes = frame("first") + frame(std::string(300, 'x')) + frame("last");
  for (std::size_t piece = 1; piece < 9; piece++) {
    NodeFrames frames(1000);
    std::vector<std::string> all;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      frames.push(std::string_view(bytes).substr(at, piece));
      for (std::string& message : take(frames)) all.push_back(std::move(message));
    }
    EXPECT_THAT(all, ElementsAre("first", std::string(300, 'x'), "last")) << piece;
  }
}

TEST(NodeFrames, OneThatIsReadFromItsMiddleIsNoBeginning) {
  const auto begins = [](const std::string& bytes) {
    NodeFrames frames(100);
    frames.push(bytes);
    return frames.may_begin_here();
  };
  const std::string whole = frame("\xff\x0f-a message-") + frame("\xff\x0f-another-");
  EXPECT_TRUE(begins(""));
  EXPECT_TRUE(begins(whole));
  EXPECT_TRUE(begins(whole.substr(0, 3))) << "so far";
  for (std::size_t at = 1; at < frame("\xff\x0f-a message-").size(); at++) EXPECT_FALSE(begins(whole.substr(at))) << at;
  EXPECT_FALSE(begins(frame("\xff" + std::string(200, 'x')))) << "too long";
}

TEST(NodeFrames, OneThatIsTooLongIsPassedOver) {
  const std::string bytes = frame("a") + frame(std::string(101, 'x')) + frame("b") + frame(std::string(100, 'y'));
  for (std::size_t piece : {std::size_t{1}, std::size_t{7}, bytes.size()}) {
    NodeFrames frames(100);
    std::vector<std::string> all;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      frames.push(std::string_view(bytes).substr(at, piece));
      for (std::string& message : take(frames)) all.push_back(std::move(message));
    }
    EXPECT_THAT(all, ElementsAre("a", HasSubstr("goes beyond 100 bytes"), "b", std::string(100, 'y'))) << piece;
  }
}

TEST(NodeFrames, ALengthThatIsNoneKeepsNothing) {
  NodeFrames frames(100);
  frames.push("\xff\xff\xff\xff");
  EXPECT_THAT(take(frames), ElementsAre(HasSubstr("error")));
  for (int i = 0; i < 1000; i++) frames.push(std::string(1000, 'x'));
  EXPECT_THAT(take(frames), IsEmpty());
}

}  // namespace
}  // namespace holdfast
