#include "config/values.h"

#include <chrono>
#include <csignal>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>

#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

Duration duration(std::string_view text) {
  const Result<Duration> parsed = parse_duration(text);
  EXPECT_TRUE(parsed) << text << ": " << parsed.error().message();
  return parsed ? *parsed : Duration::min();
}

std::string duration_refusal(std::string_view text) {
  const Result<Duration> parsed = parse_duration(text);
  return parsed ? "accepted as " + to_text(*parsed) : parsed.error().message();
}

template <class T>
T value(std::string_view text) {
  T value{};
  const Outcome outcome = parse_value(text, value);
  EXPECT_TRUE(outcome) << text << ": " << outcome.error().message();
  return value;
}

// Why a text is refused as a T; the value that stood there before must still stand.
template <class T>
std::string refusal(std::string_view text, T before) {
  T value = before;
  const Outcome outcome = parse_value(text, value);
  EXPECT_EQ(value_text(value), value_text(before)) << "changed by '" << text << "'";
  return outcome ? "accepted" : outcome.error().message();
}

ListenerConfig listener(std::string_view text) {
  Result<ListenerConfig> parsed = parse_listener(text, "default");
  EXPECT_TRUE(parsed) << text << ": " << parsed.error().message();
  return parsed ? *std::move(parsed) : ListenerConfig{};
}

TEST(DurationText, EachUnitIsRead) {
  EXPECT_EQ(duration("7ns"), 7ns);
  EXPECT_EQ(duration("250us"), 250us);
  EXPECT_EQ(duration("500ms"), 500ms);
  EXPECT_EQ(duration("2s"), 2s);
  EXPECT_EQ(duration("5m"), 5min);
  EXPECT_EQ(duration("1h"), 1h);
}

TEST(DurationText, FractionsAreReadAndRoundedToNanoseconds) {
  EXPECT_EQ(duration("1.5s"), 1500ms);
  EXPECT_EQ(duration("0.25ms"), 250us);
  EXPECT_EQ(duration("2.5h"), 150min);
  EXPECT_EQ(duration("0.1s"), 100ms);
  EXPECT_EQ(duration("1.6ns"), 2ns);
}

TEST(DurationText, ZeroNeedsNoUnit) {
  EXPECT_EQ(duration("0"), Duration::zero());
  EXPECT_EQ(duration("0.0"), Duration::zero());
  for (const std::string_view text : {"0ns", "0us", "0ms", "0s", "0m", "0h"})
    EXPECT_EQ(duration(text), Duration::zero()) << text;
}

TEST(DurationText, AnyOtherNumberNeedsAUnit) {
  for (const std::string_view text : {"1", "30", "0.5"})
    EXPECT_THAT(duration_refusal(text), AllOf(HasSubstr("'" + std::string(text) + "'"), HasSubstr("500ms"))) << text;
}

TEST(DurationText, TenYearsAreTheLongest) {
  EXPECT_EQ(duration("87600h"), 87600h);
  for (const std::string_view text : {"87601h", "1000000000s", "99999999999999999999h"})
    EXPECT_THAT(duration_refusal(text), HasSubstr("at most ten years")) << text;
  EXPECT_THAT(duration_refusal(std::string(400, '9') + "s"), HasSubstr("is not a time"));
}

TEST(DurationText, NegativeTimesAreRefused) {
  for (const std::string_view text : {"-1s", "-0.5ms", "-1", "-87601h"})
    EXPECT_THAT(duration_refusal(text), HasSubstr("is not a time")) << text;
}

TEST(DurationText, JunkIsRefused) {
  for (const std::string_view text :
       {"",       " ",     "s",    "ms",  "1x",  "1S",   "1 s", " 1s",  "1s ", "1ss",  "1h30m", "1,5s",
        "1.5.5s", "0x10s", "1e3s", "+1s", "inf", "infs", "nan", "nans", ".",   "1min", "0 ",    "0x"})
    EXPECT_THAT(duration_refusal(text), HasSubstr("is not a time")) << text;
  EXPECT_THAT(duration_refusal(std::string_view("1s\0", 3)), HasSubstr("is not a time"));
}

TEST(DurationText, ATimeIsPrintedInTheLongestUnitThatDividesIt) {
  EXPECT_EQ(to_text(Duration::zero()), "0s");
  EXPECT_EQ(to_text(1ns), "1ns");
  EXPECT_EQ(to_text(1500ns), "1500ns");
  EXPECT_EQ(to_text(250us), "250us");
  EXPECT_EQ(to_text(1500ms), "1500ms");
  EXPECT_EQ(to_text(30s), "30s");
  EXPECT_EQ(to_text(60s), "1m");
  EXPECT_EQ(to_text(90s), "90s");
  EXPECT_EQ(to_text(7200s), "2h");
}

// Numbers are read as doubles: beyond 2^53 not every one exists. As many nanoseconds are 104 days.
TEST(DurationText, WhatIsPrintedIsReadBack) {
  std::mt19937_64 random(random_seed());
  for (int round = 0; round < 2000; ++round) {
    const unsigned bits = 1 + static_cast<unsigned>(random() % 53);
    const Duration any = Duration(static_cast<std::int64_t>(random() >> (64 - bits)));
    EXPECT_EQ(duration(to_text(any)), any);
    const Duration whole = std::chrono::seconds(random() % (87600ULL * 3600));
    EXPECT_EQ(duration(to_text(whole)), whole);
  }
}

TEST(Values, ATimeIsAnOptionsValue) {
  EXPECT_EQ(value<Duration>("1.5s"), 1500ms);
  EXPECT_EQ(value_text(Duration(1500ms)), "1500ms");
  EXPECT_THAT(refusal<Duration>("soon", 3s), HasSubstr("'soon' is not a time"));
}

TEST(Values, NumbersWithoutASign) {
  EXPECT_EQ(value<unsigned>("0"), 0U);
  EXPECT_EQ(value<unsigned>("4294967295"), 4294967295U);
  EXPECT_EQ(value_text(4294967295U), "4294967295");
  for (const std::string_view text : {"", "-1", "+1", "4294967296", "1x", " 1", "1 ", "0x10", "1.0", "many"})
    EXPECT_THAT(refusal<unsigned>(text, 7), HasSubstr("is not a whole number from 0 to 4294967295")) << text;
}

TEST(Values, NumbersWithASign) {
  EXPECT_EQ(value<int>("-2147483648"), -2147483647 - 1);
  EXPECT_EQ(value<int>("2147483647"), 2147483647);
  EXPECT_EQ(value_text(-5), "-5");
  for (const std::string_view text : {"", "-", "2147483648", "--1", "1,2"})
    EXPECT_THAT(refusal<int>(text, 7), HasSubstr("from -2147483648 to 2147483647")) << text;
}

TEST(Values, ATextIsTakenAsItIs) {
  for (const std::string_view text : {"", " a b ", "none", "\xff='\""}) {
    EXPECT_EQ(value<std::string>(text), text);
    EXPECT_EQ(value_text(std::string(text)), text);
  }
}

TEST(Values, ListsAreReadAndPrinted) {
  EXPECT_THAT(value<std::vector<int>>("78"), ElementsAre(78));
  EXPECT_THAT(value<std::vector<int>>("2,78,-1"), ElementsAre(2, 78, -1));
  EXPECT_EQ(value_text(std::vector{2, 78, -1}), "2,78,-1");
}

TEST(Values, NoneIsTheEmptyList) {
  std::vector<int> list = {1, 2};
  ASSERT_TRUE(parse_value("none", list));
  EXPECT_THAT(list, ElementsAre());
  EXPECT_EQ(value_text(list), "none");
}

TEST(Values, AListThatIsNotOneIsRefused) {
  for (const std::string_view text : {"", ",", "2,", ",2", "2,,3", "2, 3", "2;3", "none,2", "2,none", "2,99999999999"})
    EXPECT_THAT(refusal(text, std::vector{1, 2}), HasSubstr("'" + std::string(text) + "' is not a list of numbers"))
        << text;
}

TEST(Values, EachOverflowHasItsName) {
  for (const auto& [name, overflow] :
       {std::pair{"next", Overflow::Next}, {"wait", Overflow::Wait}, {"refuse", Overflow::Refuse}}) {
    EXPECT_EQ(value<Overflow>(name), overflow) << name;
    EXPECT_EQ(value_text(overflow), name);
  }
  for (const std::string_view text : {"", "Next", "nex", "nextt", " wait"})
    EXPECT_THAT(refusal(text, Overflow::Wait), HasSubstr("is not next or wait or refuse")) << text;
}

TEST(Values, WhatADrainWaitsForHasItsName) {
  for (const auto& [name, what] : {std::pair{"queue", DrainWait::Queue}, {"connections", DrainWait::Connections}}) {
    EXPECT_EQ(value<DrainWait>(name), what) << name;
    EXPECT_EQ(value_text(what), name);
  }
  EXPECT_THAT(refusal("connection", DrainWait::Queue), HasSubstr("is not queue or connections"));
}

TEST(Values, AStopSignalIsNamedWithOrWithoutItsPrefix) {
  EXPECT_EQ(value<SignalName>("QUIT"), SignalName{SIGQUIT});
  EXPECT_EQ(value<SignalName>("SIGINT"), SignalName{SIGINT});
  EXPECT_EQ(value_text(SignalName{}), "TERM");
  for (const std::string_view text : {"", "SIG", "quit", "3", "KILL", "STOP", "CHLD"})
    EXPECT_THAT(refusal(text, SignalName{}), HasSubstr("is not TERM or INT or QUIT")) << text;
}

TEST(Values, EachLogLevelHasItsName) {
  for (const auto& [name, level] : {std::pair{"debug", LogLevel::Debug},
                                    {"info", LogLevel::Info},
                                    {"warning", LogLevel::Warning},
                                    {"error", LogLevel::Error}}) {
    EXPECT_EQ(value<LogLevel>(name), level) << name;
    EXPECT_EQ(value_text(level), name);
  }
  EXPECT_THAT(refusal("warn", LogLevel::Error), HasSubstr("is not debug or info or warning or error"));
}

TEST(Values, AHashKeyIsSixteenHexadecimalDigits) {
  EXPECT_EQ(value<HashKey>("0123456789abcdef"), (HashKey{0x01234567, 0x89abcdef}));
  EXPECT_EQ(value<HashKey>("FEDCBA9876543210"), (HashKey{0xfedcba98, 0x76543210}));
  EXPECT_EQ(value_text(HashKey{0x01234567, 0x89abcdef}), "0123456789abcdef");
  EXPECT_EQ(value_text(HashKey{0, 1}), "0000000000000001");
  EXPECT_EQ(value_text(HashKey{}), "0000000000000000");
}

TEST(Values, AHashKeyThatIsNotOneIsRefused) {
  for (const std::string_view text : {"", "0", "0123456789abcde", "0123456789abcdef0", "0123456789abcdeg",
                                      "0x23456789abcdef", "-123456789abcdef", " 123456789abcdef", "0123456789abcde "})
    EXPECT_THAT(refusal(text, HashKey{1, 2}), HasSubstr("is not 16 hexadecimal digits")) << text;
}

TEST(Names, AreOneToSixtyFourPlainCharacters) {
  for (const std::string_view text : {"a", "web", "Web-2", "a.b_c-d", "_x", "9", "0.1"})
    EXPECT_TRUE(is_name(text)) << text;
  EXPECT_TRUE(is_name(std::string(64, 'x')));
  EXPECT_FALSE(is_name(std::string(65, 'x')));
  for (const std::string_view text : {"", ".", "..", ".hidden", "-w", "a b", "a/b", "a=b", "a:b", "\xc3\xa4", "a\n"})
    EXPECT_FALSE(is_name(text)) << text;
  EXPECT_FALSE(is_name(std::string_view("a\0b", 3)));
}

TEST(Listeners, WithoutANameGetTheDefaultOne) {
  EXPECT_EQ(listener(":8080").name, "default");
  EXPECT_EQ(listener(":8080").address, ListenAddress(TcpAddress{TcpAddress::Family::DualStack, IpAddress(), 8080}));
  EXPECT_EQ(to_text(listener("[::1]:80").address), "[::1]:80");
}

TEST(Listeners, WithANameKeepIt) {
  EXPECT_EQ(listener("web=127.0.0.1:80").name, "web");
  EXPECT_EQ(to_text(listener("web=127.0.0.1:80").address), "127.0.0.1:80");
  EXPECT_EQ(listener("app=unix:/run/x.sock").name, "app");
  EXPECT_EQ(listener("app=unix:/run/x.sock").address, ListenAddress(UnixAddress{"/run/x.sock"}));
}

TEST(Listeners, APathMayHaveAnEqualsSign) {
  EXPECT_EQ(listener("unix:/run/a=b").name, "default");
  EXPECT_EQ(listener("unix:/run/a=b").address, ListenAddress(UnixAddress{"/run/a=b"}));
  EXPECT_EQ(listener("web=unix:/run/a=b").name, "web");
  EXPECT_EQ(listener("web=unix:/run/a=b").address, ListenAddress(UnixAddress{"/run/a=b"}));
}

TEST(Listeners, ABadNameOrAddressIsRefused) {
  for (const std::string_view text : {"", "web=", "=:80", "-web=:80", "a b=:80", "web", "web=web", "web=a=:80"}) {
    const Result<ListenerConfig> parsed = parse_listener(text, "default");
    ASSERT_FALSE(parsed) << text;
    EXPECT_THAT(parsed.error().message(), HasSubstr("listen address")) << text;
  }
}

TEST(Values, ReadsSizes) {
  const auto read = [](std::string_view text) -> std::optional<std::uint64_t> {
    ByteCount size{7};
    if (!parse_value(text, size)) {
      EXPECT_EQ(size.bytes, 7U) << text;
      return std::nullopt;
    }
    EXPECT_EQ(parse_value(value_text(size), size) && true, true) << text;
    return size.bytes;
  };
  EXPECT_EQ(read("0"), 0U);
  EXPECT_EQ(read("65536"), 65536U);
  EXPECT_EQ(read("64K"), 65536U);
  EXPECT_EQ(read("512M"), 512U << 20);
  EXPECT_EQ(read("2G"), std::uint64_t{2} << 30);
  EXPECT_EQ(read("1T"), std::uint64_t{1} << 40);
  for (const char* wrong : {"", "M", "-1", "1.5G", "5X", "2000T", "99999999999999999999", "1 M"}) {
    EXPECT_EQ(read(wrong), std::nullopt) << wrong;
  }
  EXPECT_EQ(value_text(ByteCount{512U << 20}), "512M");
  EXPECT_EQ(value_text(ByteCount{1000}), "1000");
  EXPECT_EQ(value_text(ByteCount{0}), "0");
}

}  // namespace
}  // namespace holdfast
