#include "wire/http_head.h"

#include <algorithm>

#include "core/text.h"

namespace holdfast {
namespace {

constexpr std::string_view kHttp2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

constexpr int kOk = 0;
constexpr int kRefused = 1;
// What on_headers_complete answers so that the parser stops behind the head and reads no body.
constexpr int kNothingFollows = 2;

// Debian builds the library in its lenient mode: it lets blanks into names and control characters into values.
bool is_plain(char c) { return (c >= ' ' && c != '\x7f') || c == '\t' || static_cast<unsigned char>(c) >= 0x80; }

// The callbacks come in the order of the bytes; each value is one piece because the whole head is given at once.
int on_target(http_parser* parser, const char* at, std::size_t length) {
  static_cast<HttpRequest*>(parser->data)->target = {at, length};
  return kOk;
}

int on_field(http_parser* parser, const char* at, std::size_t length) {
  const std::string_view name(at, length);
  if (name.find(' ') != std::string_view::npos) return kRefused;
  static_cast<HttpRequest*>(parser->data)->fields.push_back({name, {}});
  return kOk;
}

int on_value(http_parser* parser, const char* at, std::size_t length) {
  HttpField& field = static_cast<HttpRequest*>(parser->data)->fields.back();
  // A second piece: the value is folded over two lines. RFC 9112, 5.2 lets a server refuse that, and most do.
  if (field.value.data() != nullptr) return kRefused;
  if (!std::all_of(at, at + length, is_plain)) return kRefused;
  field.value = trimmed({at, length});
  return kOk;
}

int on_head_complete(http_parser*) { return kNothingFollows; }

// Only finds the end.
http_parser_settings search_settings() {
  http_parser_settings callbacks;
  http_parser_settings_init(&callbacks);
  callbacks.on_headers_complete = on_head_complete;
  return callbacks;
}

// Finds the end and takes down what stands before it.
http_parser_settings collect_settings() {
  http_parser_settings callbacks = search_settings();
  callbacks.on_url = on_target;
  callbacks.on_header_field = on_field;
  callbacks.on_header_value = on_value;
  return callbacks;
}

const http_parser_settings kSearch = search_settings();
const http_parser_settings kCollect = collect_settings();

HttpLook collect(std::string_view head) {
  HttpHead found{head.size(), {}};
  http_parser parser;
  http_parser_init(&parser, HTTP_REQUEST);
  parser.data = &found.request;
  http_parser_execute(&parser, &kCollect, head.data(), head.size());
  if (HTTP_PARSER_ERRNO(&parser) != HPE_OK || parser.http_major != 1) return HttpFault::NotHttp;
  found.request.method = http_method_str(static_cast<http_method>(parser.method));
  found.request.minor_version = parser.http_minor;
  return found;
}

}  // namespace

HttpHeadSearch::HttpHeadSearch() { http_parser_init(&parser_, HTTP_REQUEST); }

HttpLook HttpHeadSearch::look(std::string_view prefix) {
  if (prefix.starts_with(kHttp2Preface)) return Http2Preface{};
  if (kHttp2Preface.starts_with(prefix)) {
    // From "PRI" on it is no method of HTTP/1; before, it may be one ("PUT").
    return NeedMore{prefix.size() >= 3 ? kHttp2Preface.size() : prefix.size() + 1};
  }
  const std::string_view fresh = prefix.substr(seen_, kMaxPreface - seen_);
  if (fresh.empty() && seen_ < kMaxPreface)
    return NeedMore{seen_ + 1};  // of nothing the parser would think that it is the end
  const std::size_t read = http_parser_execute(&parser_, &kSearch, fresh.data(), fresh.size());
  if (HTTP_PARSER_ERRNO(&parser_) != HPE_OK) return HttpFault::NotHttp;
  seen_ += read;
  if (parser_.upgrade != 0) return collect(prefix.substr(0, seen_));
  if (seen_ >= kMaxPreface) return HttpFault::TooLarge;
  return NeedMore{seen_ + 1};
}

}  // namespace holdfast
