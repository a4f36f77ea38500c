#include "config/default_file.h"

#include <sstream>
#include <string>

#include <gmock/gmock.h>

#include "config/assemble.h"
#include "config/diff.h"
#include "config/options.h"
#include "config/parse.h"
#include "config/values.h"

namespace holdfast {
namespace {

using testing::IsEmpty;

// The file with every key in force: its default is written out.
std::string uncommented() {
  std::istringstream lines(default_file());
  std::string text;
  for (std::string line; std::getline(lines, line);) {
    const bool is_example = line.starts_with('#') && !line.starts_with("# ");
    text += (is_example ? line.substr(1) : line) + "\n";
  }
  return text;
}

Config assembled(const std::string& text) {
  const Assembled assembled = assemble(ConfigFile{"f", text}, {});
  for (const Mistake& mistake : assembled.mistakes) ADD_FAILURE() << to_text(mistake);
  return assembled.config;
}

TEST(DefaultFile, HasNoMistakeAndChangesNothingButWhatMustBeChosen) {
  Config expected;
  expected.listeners = {*parse_listener(":8080", "main")};
  expected.pools.front().command = {"./server"};
  EXPECT_THAT(differences(expected, assembled(default_file())), IsEmpty());
}

TEST(DefaultFile, SaysForEachKeyTheDefault) {
  EXPECT_THAT(parse_file(uncommented(), "f").environments, testing::SizeIs(1));
  EXPECT_THAT(differences(assembled(default_file()), assembled(uncommented())), IsEmpty());
}

TEST(DefaultFile, HasEveryKeyInItsTable) {
  const ParsedFile file = parse_file(uncommented(), "f");
  for (const Option& option : options()) {
    if (option.entries) {
      EXPECT_NE(uncommented().find("\n" + option.key + " = {}\n"), std::string::npos) << option.key;
      continue;
    }
    const bool found = std::any_of(file.base.assignments.begin(), file.base.assignments.end(),
                                   [&](const Assignment& assignment) { return assignment.option == &option; });
    EXPECT_TRUE(found) << option.key;
  }
}

TEST(DefaultFile, FitsATerminal) {
  std::istringstream lines(default_file());
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 100U) << line;
    EXPECT_FALSE(line.ends_with(' ')) << line;
  }
}

}  // namespace
}  // namespace holdfast
