#include "wire/http_status.h"

#include <gtest/gtest.h>

#include <string>

namespace holdfast {
namespace {

std::string look(std::string_view bytes) {
  const auto answer = look_for_status(bytes);
  if (const auto* status = std::get_if<HttpStatus>(&answer)) return to_text(*status);
  return std::holds_alternative<NeedMore>(answer) ? "more" : "none";
}

TEST(HttpStatus, IsTheFirstLine) {
  EXPECT_EQ(look("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"), "200 OK");
  EXPECT_EQ(look("HTTP/1.0 503 Service Unavailable\n"), "503 Service Unavailable");
  EXPECT_EQ(look("HTTP/1.1 204\r\n"), "204");
  EXPECT_EQ(look("HTTP/1.1 204 \r\n"), "204");
}

TEST(HttpStatus, EveryBeginningOfItNeedsMore) {
  const std::string whole = "HTTP/1.1 200 OK\r\n";
  for (std::size_t length = 0; length < whole.size(); length++)
    EXPECT_EQ(look(whole.substr(0, length)), "more") << length;
}

TEST(HttpStatus, WhatIsNoneIsKnownAtOnce) {
  for (const char* text :
       {"SSH-2.0", "H2", "HTTP/2 200\r\n", "HTTP/1.x 200 OK\r\n", "HTTP/1.1 20 OK\r\n", "HTTP/1.1 2000\r\n",
        "HTTP/1.1 0OK\r\n", "HTTP/1.1 099 X\r\n", "HTTP/1.1\r\n", "\r\n", "\x15\x03\x01"}) {
    EXPECT_EQ(look(text), "none") << text;
  }
}

TEST(HttpStatus, ALineWithoutEndIsNone) {
  const std::string line = "HTTP/1.1 200 " + std::string(kMaxStatusLine, 'x');
  EXPECT_EQ(look(line), "none");
  EXPECT_EQ(look(line.substr(0, kMaxStatusLine)), "more");
}

TEST(HttpStatus, TheReasonIsCutAndPrintable) {
  const auto answer = look_for_status("HTTP/1.1 500 a\x1b[31m" + std::string(200, 'b') + "\r\n");
  const auto& reason = std::get<HttpStatus>(answer).reason;
  EXPECT_EQ(reason.size(), 64U);
  EXPECT_EQ(reason.find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace holdfast
