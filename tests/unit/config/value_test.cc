#include "config/value.h"

#include <gmock/gmock.h>

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Scalar bare(std::string text, Scalar::Form form = Scalar::Form::Number) { return {std::move(text), form}; }

TEST(Value, IsToldAsAFileHasIt) {
  EXPECT_EQ(to_toml(Scalar{"30s"}), "\"30s\"");
  EXPECT_EQ(to_toml(bare("4")), "4");
  EXPECT_EQ(to_toml(std::vector{Scalar{"./a b"}, bare("4")}), "[\"./a b\", 4]");
  EXPECT_EQ(to_toml(std::vector<Scalar>{}), "[]");
  EXPECT_EQ(to_toml(Scalar{"\"\\\n\t\x1b\x7f\xc3\xa4"}), "\"\\\"\\\\\\n\\t\\u001b\\u007f\xc3\xa4\"");
}

TEST(Value, IsToldAsTheCommandLineHasIt) {
  EXPECT_EQ(to_plain(Scalar{"30s"}), "30s");
  EXPECT_EQ(to_plain(std::vector{bare("2"), bare("78")}), "2,78");
  EXPECT_EQ(to_plain(std::vector<Scalar>{}), "none");
}

TEST(Value, AKeyIsQuotedOnlyWhereItMustBe) {
  EXPECT_EQ(key_text("a-B_9"), "a-B_9");
  EXPECT_EQ(key_text("a.b"), "\"a.b\"");
  EXPECT_EQ(key_text(""), "\"\"");
}

TEST(Value, ACommandIsAListOfStrings) {
  std::vector<std::string> command = {"./old"};
  EXPECT_THAT(read_value(Scalar{"./server -p 80"}, command).error().message(),
              HasSubstr(R"(write ["./server", "-p", "80"])"));
  EXPECT_THAT(read_value(std::vector{Scalar{"./server"}, bare("80")}, command).error().message(),
              HasSubstr(R"(80 is not a string: write "80")"));
  EXPECT_FALSE(read_value(std::vector<Scalar>{}, command));
  EXPECT_FALSE(read_value(std::vector{Scalar{""}}, command));
  EXPECT_FALSE(read_value(std::vector{Scalar{"./a"}, Scalar{std::string("\0", 1)}}, command));
  EXPECT_THAT(command, ElementsAre("./old"));
  EXPECT_TRUE(read_value(std::vector{Scalar{"./server"}, Scalar{""}}, command));
  EXPECT_THAT(command, ElementsAre("./server", ""));
}

TEST(Value, AStringIsNothingElse) {
  std::string text = "old";
  EXPECT_FALSE(read_value(bare("5"), text));
  EXPECT_FALSE(read_value(bare("true", Scalar::Form::Truth), text));
  EXPECT_FALSE(read_value(std::vector{Scalar{"a"}}, text));
  EXPECT_EQ(text, "old");
}

TEST(Value, ANumberMayBeAString) {
  unsigned number = 1;
  EXPECT_TRUE(read_value(Scalar{"7"}, number));
  EXPECT_EQ(number, 7U);
  EXPECT_TRUE(read_value(bare("8"), number));
  EXPECT_FALSE(read_value(bare("1.5", Scalar::Form::Other), number));
  EXPECT_FALSE(read_value(bare("true", Scalar::Form::Truth), number));
  EXPECT_EQ(number, 8U);
}

TEST(Value, AListOfNumbersMayBeAString) {
  std::vector<int> codes;
  EXPECT_TRUE(read_value(std::vector{bare("2"), bare("78")}, codes));
  EXPECT_THAT(codes, ElementsAre(2, 78));
  EXPECT_TRUE(read_value(Scalar{"3,4"}, codes));
  EXPECT_THAT(codes, ElementsAre(3, 4));
  EXPECT_FALSE(read_value(std::vector{bare("2"), Scalar{"x"}}, codes));
  EXPECT_THAT(codes, ElementsAre(3, 4));
  EXPECT_TRUE(read_value(std::vector<Scalar>{}, codes));
  EXPECT_THAT(codes, ElementsAre());
}

TEST(Value, AVariableHasANameThatIsNotOurs) {
  std::map<std::string, std::string> variables;
  for (const char* name : {"", "A=B", "HOLDFAST_SLOT", "LISTEN_FDS", "NOTIFY_SOCKET", "WATCHDOG_USEC"}) {
    EXPECT_FALSE(read_variable(name, Scalar{"x"}, variables)) << name;
  }
  EXPECT_FALSE(read_variable(std::string("A\0B", 3), Scalar{"x"}, variables));
  EXPECT_FALSE(read_variable("A", std::vector{Scalar{"x"}}, variables));
  EXPECT_FALSE(read_variable("A", bare("1.5", Scalar::Form::Other), variables));
  EXPECT_TRUE(variables.empty());
  EXPECT_TRUE(read_variable("PORT", bare("8080"), variables));
  EXPECT_TRUE(read_variable("DEBUG", bare("true", Scalar::Form::Truth), variables));
  EXPECT_TRUE(read_variable("EMPTY", Scalar{""}, variables));
  EXPECT_EQ(variables, (std::map<std::string, std::string>{{"PORT", "8080"}, {"DEBUG", "true"}, {"EMPTY", ""}}));
}

}  // namespace
}  // namespace holdfast
