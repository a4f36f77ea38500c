#include "request.h"

#include <strings.h>

#include <charconv>

namespace whoami {
namespace {

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t' || text.back() == '\r')) text.remove_suffix(1);
  return text;
}

// The line at the front of `rest`, without its end; taken off.
std::string_view take_line(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  std::string_view line = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  return line;
}

// Where the head ends, npos if it does not yet: behind an empty line.
std::size_t head_length(std::string_view bytes) {
  for (std::size_t at = bytes.find('\n'); at != std::string_view::npos; at = bytes.find('\n', at + 1)) {
    if (at + 1 < bytes.size() && bytes[at + 1] == '\n') return at + 2;
    if (at + 2 < bytes.size() && bytes[at + 1] == '\r' && bytes[at + 2] == '\n') return at + 3;
  }
  return std::string_view::npos;
}

Outcome parse_request_line(std::string_view line, Request& request) {
  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == std::string_view::npos || first == 0 || last <= first + 1) return Outcome::Malformed;
  request.method = line.substr(0, first);
  request.target = line.substr(first + 1, last - first - 1);
  const std::string_view version = line.substr(last + 1);
  if (version != "HTTP/1.1" && version != "HTTP/1.0")
    return version.starts_with("HTTP/") ? Outcome::OtherVersion : Outcome::Malformed;
  if (request.target.find(' ') != std::string_view::npos) return Outcome::Malformed;
  request.is_http_1_0 = version == "HTTP/1.0";
  request.persistence = request.is_http_1_0 ? Persistence::Close : Persistence::KeepAlive;
  return Outcome::Complete;
}

void read_connection_options(std::string_view value, Request& request) {
  while (!value.empty()) {
    const std::size_t comma = value.find(',');
    const std::string_view option = trim(value.substr(0, comma));
    if (equals_ignoring_case(option, "close")) {
      request.persistence = Persistence::Close;
      return;
    }
    if (equals_ignoring_case(option, "keep-alive")) request.persistence = Persistence::KeepAlive;
    value.remove_prefix(comma == std::string_view::npos ? value.size() : comma + 1);
  }
}

Outcome parse_field(std::string_view line, Request& request) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || colon == 0) return Outcome::Malformed;
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trim(line.substr(colon + 1));
  if (equals_ignoring_case(name, "connection")) {
    read_connection_options(value, request);
  } else if (equals_ignoring_case(name, "transfer-encoding")) {
    request.has_body = true;
  } else if (equals_ignoring_case(name, "content-length")) {
    request.has_body = request.has_body || value != "0";
  }
  return Outcome::Complete;
}

}  // namespace

Parsed parse_request(std::string_view bytes) {
  // Empty lines ahead of a request are allowed (RFC 9112, 2.2).
  std::size_t skipped = 0;
  while (skipped < bytes.size() && (bytes[skipped] == '\r' || bytes[skipped] == '\n')) ++skipped;
  const std::size_t length = head_length(bytes.substr(skipped));
  if (length == std::string_view::npos) return {bytes.size() > kMaxHead ? Outcome::TooLarge : Outcome::Incomplete, {}};
  if (skipped + length > kMaxHead) return {Outcome::TooLarge, {}};

  std::string_view rest = bytes.substr(skipped, length);
  Parsed parsed;
  parsed.outcome = parse_request_line(take_line(rest), parsed.request);
  while (parsed.outcome == Outcome::Complete) {
    const std::string_view line = take_line(rest);
    if (line.empty()) break;
    parsed.outcome = parse_field(line, parsed.request);
  }
  parsed.request.length = skipped + length;
  return parsed;
}

int query_number(std::string_view target, std::string_view name) {
  const std::size_t question = target.find('?');
  if (question == std::string_view::npos) return -1;
  for (std::string_view query = target.substr(question + 1); !query.empty();) {
    const std::string_view item = query.substr(0, query.find('&'));
    query.remove_prefix(item.size() < query.size() ? item.size() + 1 : item.size());
    if (!item.starts_with(name) || item.substr(name.size(), 1) != "=") continue;
    const std::string_view digits = item.substr(name.size() + 1);
    int number = -1;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return error == std::errc{} && end == digits.data() + digits.size() && number >= 0 && number < 1'000'000 ? number
                                                                                                             : -1;
  }
  return -1;
}

}  // namespace whoami
