#pragma once

#include <http_parser.h>

#include <cstddef>
#include <string_view>
#include <variant>

#include "core/http_request.h"
#include "wire/peeked.h"

namespace holdfast {

// Looks for the head of an HTTP request at the beginning of a connection. The grammar is http-parser's, the library that Node.js
// had until version 12; Debian keeps it. It is frozen by its authors, who wrote llhttp after it, but Debian 12 has no library of
// that, only its sources inside a package for Node.js. What is asked of it here, a request line and fields, has not
// changed since. A method that it does not know makes the bytes "not HTTP" (it knows 34: all of the usual ones and WebDAV's).

// A head: up to and with the empty line. The views point into the prefix that was looked at.
struct HttpHead {
  std::size_t length = 0;
  HttpRequest request;
};

struct Http2Preface {
};  // "PRI * HTTP/2.0 ...": HTTP/2 from the first byte; its header fields are compressed and not read

enum class HttpFault {
  NotHttp,   // neither a request of HTTP/1.0 or 1.1 nor the preface of HTTP/2
  TooLarge,  // kMaxPreface bytes, and the head is not at its end
};

using HttpLook = std::variant<NeedMore, HttpHead, Http2Preface, HttpFault>;

// One search for each connection that waits for its head. Every byte is looked at once, however many looks it takes: a
// client that sends its head byte by byte costs no more than one that sends it at once.
class HttpHeadSearch {
 public:
  HttpHeadSearch();

  // `prefix` is the same as in the look before, or longer. After an answer that is not NeedMore the search is over.
  [[nodiscard]] HttpLook look(std::string_view prefix);

 private:
  http_parser parser_;
  std::size_t seen_ = 0;  // bytes of the prefix that the parser has
};

}  // namespace holdfast
