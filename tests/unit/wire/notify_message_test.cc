#include "wire/notify_message.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

NotifyMessage parsed(std::string_view datagram) {
  const Result<NotifyMessage> message = parse_notify_message(datagram);
  if (!message) {
    ADD_FAILURE() << message.error().message();
    return {};
  }
  return *message;
}

const NotifyMessage kNothing;

TEST(NotifyMessage, SaysWhatEachLineSays) {
  EXPECT_TRUE(parsed("READY=1").is_ready);
  EXPECT_TRUE(parsed("RELOADING=1").is_reloading);
  EXPECT_TRUE(parsed("STOPPING=1").is_stopping);
  EXPECT_EQ(parsed("WATCHDOG=1").watchdog, NotifyMessage::Watchdog::Beat);
  EXPECT_EQ(parsed("WATCHDOG=trigger").watchdog, NotifyMessage::Watchdog::Trigger);
  EXPECT_EQ(parsed("STATUS=Serving 3 clients").status, "Serving 3 clients");
  EXPECT_EQ(parsed("ERRNO=2").error, 2);
  EXPECT_EQ(parsed("MAINPID=4711").main_pid, 4711);
  EXPECT_EQ(parsed("EXTEND_TIMEOUT_USEC=2500000").extend_timeout, 2500ms);
}

TEST(NotifyMessage, TakesSeveralLinesInAnyOrderWithOrWithoutAnEnd) {
  NotifyMessage expected;
  expected.is_ready = true;
  expected.status = "up";
  expected.main_pid = 7;
  for (const char* text : {"READY=1\nSTATUS=up\nMAINPID=7", "MAINPID=7\nREADY=1\nSTATUS=up\n",
                           "\n\nSTATUS=up\n\nMAINPID=7\nREADY=1\n\n"}) {
    EXPECT_EQ(parsed(text), expected) << text;
  }
  EXPECT_EQ(parsed(std::string("READY=1\nSTATUS=up\nMAINPID=7\0\0", 30)), expected) << "a C string with its end";
}

TEST(NotifyMessage, IgnoresWhatItDoesNotKnow) {
  for (const char* text :
       {"", "\n", "READY", "=1", "=", "ready=1", "READY =1", " READY=1", "FDSTORE=1\nFDNAME=x", "BARRIER=1",
        "WATCHDOG_USEC=5", "X_HOUSE=1", "READY=1\r", "READY=", "READY=yes", "READY=11", "STOPPING=0"}) {
    EXPECT_EQ(parsed(text), kNothing) << text;
  }
}

TEST(NotifyMessage, IgnoresValuesThatMakeNoSenseAndNothingElse) {
  for (const char* line :
       {"ERRNO=", "ERRNO=0", "ERRNO=-2", "ERRNO=2x", "ERRNO= 2", "ERRNO=4096", "ERRNO=99999999999999999999",
        "MAINPID=0", "MAINPID=-1", "MAINPID=2147483648", "MAINPID=1 2", "EXTEND_TIMEOUT_USEC=-1",
        "EXTEND_TIMEOUT_USEC=18446744073709551616", "EXTEND_TIMEOUT_USEC=1s", "WATCHDOG=2", "WATCHDOG=Trigger"}) {
    NotifyMessage expected;
    expected.is_ready = true;
    EXPECT_EQ(parsed(std::string(line) + "\nREADY=1"), expected) << line;
  }
}

TEST(NotifyMessage, TakesTheFirstOfANameThatComesTwice) {
  EXPECT_EQ(parsed("STATUS=one\nSTATUS=two").status, "one");
  EXPECT_EQ(parsed("ERRNO=x\nERRNO=3\nERRNO=4").error, 3);
  EXPECT_EQ(parsed("WATCHDOG=trigger\nWATCHDOG=1").watchdog, NotifyMessage::Watchdog::Trigger);
  EXPECT_TRUE(parsed("READY=0\nREADY=1").is_ready);
}

TEST(NotifyMessage, KeepsTheLimitsOfNumbers) {
  EXPECT_EQ(parsed("ERRNO=4095").error, 4095);
  EXPECT_EQ(parsed("MAINPID=2147483647").main_pid, 2147483647);
  EXPECT_EQ(parsed("EXTEND_TIMEOUT_USEC=0").extend_timeout, 0s);
  EXPECT_EQ(parsed("EXTEND_TIMEOUT_USEC=18446744073709551615").extend_timeout, kMaxNotifyExtension);
  EXPECT_EQ(parsed("EXTEND_TIMEOUT_USEC=86400000001").extend_timeout, kMaxNotifyExtension);
}

TEST(NotifyMessage, MakesAStatusThatCanBePrintedAnywhere) {
  EXPECT_EQ(parsed("STATUS=").status, "");
  EXPECT_EQ(parsed("STATUS=a=b").status, "a=b");
  EXPECT_EQ(parsed("STATUS=K\xC3\xB6ln \xE2\x82\xAC \xF0\x9F\x8D\x8E").status,
            "K\xC3\xB6ln \xE2\x82\xAC \xF0\x9F\x8D\x8E");
  EXPECT_EQ(parsed("STATUS=\x1B[31mred\t\x7F").status, "?[31mred??");
  EXPECT_EQ(parsed("STATUS=a\xC2\x9B"
                   "31m")
                .status,
            "a?31m")
      << "a control sequence in one character";
}

TEST(NotifyMessage, RefusesAStatusThatIsNoUtf8) {
  for (const char* text : {"\xFF", "a\x80", "\xC3", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                           "\xF8\x88\x80\x80\x80", "\xE2\x82", "\xC3("}) {
    EXPECT_EQ(parsed("STATUS=" + std::string(text)), kNothing) << text;
  }
}

TEST(NotifyMessage, CutsALongStatusBetweenCharacters) {
  EXPECT_EQ(parsed("STATUS=" + std::string(3000, 'a')).status, std::string(kMaxNotifyStatus, 'a'));
  const std::string euro = "\xE2\x82\xAC";
  std::string long_text;
  for (int i = 0; i < 200; ++i) long_text += euro;
  const std::optional<std::string> status = parsed("STATUS=" + long_text + "a").status;
  ASSERT_TRUE(status.has_value());
  EXPECT_EQ(status->size(), 170 * euro.size()) << "the shorter character behind the cut must not be taken instead";
  EXPECT_EQ(parsed("STATUS=" + std::string(600, 'a') + "\xFF"), kNothing) << "what is cut off is looked at too";
}

TEST(NotifyMessage, RefusesWhatIsNoMessage) {
  const auto refusal = [](std::string_view datagram) {
    const Result<NotifyMessage> message = parse_notify_message(datagram);
    return message ? "" : message.error().message();
  };
  EXPECT_EQ(refusal(std::string(kMaxNotifyDatagram, 'a')), "");
  EXPECT_THAT(refusal(std::string(kMaxNotifyDatagram + 1, 'a')), HasSubstr("longer than 4096 bytes"));
  EXPECT_THAT(refusal(std::string_view("READY=1\0STATUS=x", 16)), HasSubstr("NUL"));
}

TEST(NotifyMessage, SurvivesRandomChanges) {
  std::mt19937_64 random(random_seed());
  const std::string whole = "READY=1\nSTATUS=K\xC3\xB6ln\nWATCHDOG=1\nMAINPID=12\nERRNO=5\nEXTEND_TIMEOUT_USEC=10\n";
  for (int round = 0; round < 20000; ++round) {
    std::string text = whole.substr(0, random() % (whole.size() + 1));
    for (std::size_t change = random() % 4; change > 0 && !text.empty(); --change)
      text[random() % text.size()] = static_cast<char>(random());
    const Result<NotifyMessage> message = parse_notify_message(text);
    if (message && message->status) {
      EXPECT_TRUE(std::none_of(message->status->begin(), message->status->end(), [](char c) {
        return static_cast<unsigned char>(c) < 0x20;
      })) << text;
    }
  }
}

}  // namespace
}  // namespace holdfast
