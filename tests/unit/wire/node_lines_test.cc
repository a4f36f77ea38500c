#include "wire/node_lines.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> lines_in(NodeLines& lines) {
  std::vector<std::string> all;
  for (;;) {
    const Result<std::optional<std::string_view>> next = lines.next();
    if (!next) return {"error: " + next.error().message()};
    if (!*next) return all;
    all.emplace_back(**next);
  }
}

TEST(NodeLines, GivesEachLineHoweverTheBytesCome) {
  const std::string bytes = "first\n\nthird and longer\n";
  for (std::size_t step = 1; step <= bytes.size(); step++) {
    NodeLines lines(100);
    std::vector<std::string> all;
    for (std::size_t at = 0; at < bytes.size(); at += step) {
      lines.push(std::string_view(bytes).substr(at, step));
      for (std::string& line : lines_in(lines)) all.push_back(std::move(line));
    }
    EXPECT_THAT(all, ElementsAre("first", "", "third and longer")) << step;
  }
}

TEST(NodeLines, WhatHasNoNewlineYetIsNoLine) {
  NodeLines lines(100);
  lines.push("half");
  EXPECT_THAT(lines_in(lines), IsEmpty());
  lines.push(" and half\nrest");
  EXPECT_THAT(lines_in(lines), ElementsAre("half and half"));
}

TEST(NodeLines, TakesALineOfTheLimitAndNoLongerOne) {
  NodeLines lines(5);
  lines.push("12345\n12345\n");
  EXPECT_THAT(lines_in(lines), ElementsAre("12345", "12345"));
  lines.push("12345");
  EXPECT_THAT(lines_in(lines), IsEmpty());
  lines.push("6");
  EXPECT_THAT(lines_in(lines), ElementsAre(HasSubstr("beyond 5 bytes")));
  lines.push("789012345");
  EXPECT_THAT(lines_in(lines), IsEmpty()) << "told once";
  lines.push("67\n1\n");
  EXPECT_THAT(lines_in(lines), ElementsAre("1")) << "it is passed over, and what follows is not";
  lines.push("1234567\n2\n");
  EXPECT_THAT(lines_in(lines), ElementsAre(HasSubstr("beyond 5 bytes")));
  EXPECT_THAT(lines_in(lines), ElementsAre("2"));
}

}  // namespace
}  // namespace holdfast
