#pragma once

#include <cstddef>
#include <string_view>

namespace whoami {

enum class Persistence { Close, KeepAlive };

// The head of an HTTP/1.x request; views into the bytes that were parsed.
struct Request {
  std::string_view method;
  std::string_view target;
  Persistence persistence = Persistence::Close;
  bool is_http_1_0 = false;
  bool has_body = false;   // which this program does not read: it answers and closes
  std::size_t length = 0;  // bytes of the head, the empty line included
};

enum class Outcome { Incomplete, Complete, Malformed, TooLarge, OtherVersion };

struct Parsed {
  Outcome outcome = Outcome::Incomplete;
  Request request;  // valid if Complete
};

// More than this in a head is refused with 431.
inline constexpr std::size_t kMaxHead = 8192;

// Reads the first request of `bytes`. Lines may end in CRLF or in LF alone.
[[nodiscard]] Parsed parse_request(std::string_view bytes);

// The number behind `name=` in the query of `target`; -1 if there is none, or it is not a number below a million.
[[nodiscard]] int query_number(std::string_view target, std::string_view name);

}  // namespace whoami
