#include "core/line_splitter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

struct Lines {
  std::vector<std::string> seen;
  LineSplitter::OnLine hear = [this](std::string_view line) { seen.emplace_back(line); };
};

TEST(LineSplitter, GivesEachLineWithoutItsNewline) {
  LineSplitter splitter(100);
  Lines lines;
  splitter.push("one\ntwo\n\nfour\r\n", lines.hear);
  EXPECT_THAT(lines.seen, ElementsAre("one", "two", "", "four\r"));
}

TEST(LineSplitter, JoinsALineThatArrivesInPieces) {
  LineSplitter splitter(100);
  Lines lines;
  splitter.push("hel", lines.hear);
  splitter.push("lo", lines.hear);
  EXPECT_THAT(lines.seen, IsEmpty());
  splitter.push("\nnext", lines.hear);
  EXPECT_THAT(lines.seen, ElementsAre("hello"));
}

TEST(LineSplitter, BreaksALineThatIsTooLongAndLosesNothing) {
  LineSplitter splitter(4);
  Lines lines;
  splitter.push("abcdefghij\nk\n", lines.hear);
  EXPECT_THAT(lines.seen, ElementsAre("abcd", "efgh", "ij", "k"));
}

TEST(LineSplitter, ALineOfExactlyTheLimitIsNotFollowedByAnEmptyOne) {
  for (const std::vector<std::string>& pieces : std::vector<std::vector<std::string>>{
           {"abcd\nx\n"}, {"abcd", "\nx\n"}, {"ab", "cd\n", "x\n"}, {"a", "b", "c", "d", "\n", "x", "\n"}}) {
    LineSplitter splitter(4);
    Lines lines;
    for (const std::string& piece : pieces) splitter.push(piece, lines.hear);
    EXPECT_THAT(lines.seen, ElementsAre("abcd", "x"));
  }
}

TEST(LineSplitter, GivesAnUnfinishedLineWhenTheWriterIsGone) {
  LineSplitter splitter(100);
  Lines lines;
  splitter.push("last words", lines.hear);
  splitter.finish(lines.hear);
  splitter.finish(lines.hear);
  EXPECT_THAT(lines.seen, ElementsAre("last words"));
}

TEST(LineSplitter, HowTheBytesAreCutNeverMatters) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (int round = 0; round < 200; ++round) {
    const std::size_t limit = 1 + random() % 9;
    std::string text;
    for (unsigned i = random() % 200; i > 0; --i) text += "ab\n\0"[random() % 4];
    Lines whole;
    LineSplitter at_once(limit);
    at_once.push(text, whole.hear);
    at_once.finish(whole.hear);

    Lines cut;
    LineSplitter in_pieces(limit);
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t length = std::min<std::size_t>(random() % 7, text.size() - at);
      in_pieces.push(std::string_view(text).substr(at, length), cut.hear);
      at += length;
    }
    in_pieces.finish(cut.hear);
    ASSERT_EQ(whole.seen, cut.seen) << "limit " << limit;
    std::size_t bytes = 0;
    for (const std::string& line : whole.seen) {
      ASSERT_LE(line.size(), limit);
      bytes += line.size();
    }
    ASSERT_EQ(bytes, text.size() - static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')));
  }
}

}  // namespace
}  // namespace holdfast
