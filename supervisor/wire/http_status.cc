#include "wire/http_status.h"

#include <algorithm>

namespace holdfast {

namespace {

constexpr std::string_view kVersion = "HTTP/1.x ";  // x: a digit
constexpr std::size_t kCodeLength = 3;
constexpr std::size_t kMaxReason = 64;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Whether the line can begin with these bytes.
bool fits_version(std::string_view line) {
  for (std::size_t i = 0; i < std::min(line.size(), kVersion.size()); i++) {
    if (kVersion[i] == 'x' ? !is_digit(line[i]) : line[i] != kVersion[i]) return false;
  }
  return true;
}

std::string printable(std::string_view text) {
  std::string result;
  for (const char c : text.substr(0, kMaxReason)) result += c >= ' ' && c <= '~' ? c : '?';
  return result;
}

}  // namespace

std::variant<NeedMore, HttpStatus, NoHttpStatus> look_for_status(std::string_view bytes) {
  const std::size_t end = bytes.find('\n');
  std::string_view line = bytes.substr(0, end);
  if (!fits_version(line) || line.size() > kMaxStatusLine) return NoHttpStatus{};
  if (end == std::string_view::npos) return NeedMore{bytes.size() + 1};
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  if (line.size() < kVersion.size() + kCodeLength) return NoHttpStatus{};
  line.remove_prefix(kVersion.size());
  const std::string_view code = line.substr(0, kCodeLength);
  line.remove_prefix(kCodeLength);
  const bool is_code = std::all_of(code.begin(), code.end(), is_digit) && code.front() != '0';
  if (!is_code || (!line.empty() && line.front() != ' ')) return NoHttpStatus{};
  HttpStatus status;
  for (const char c : code) status.code = status.code * 10 + static_cast<unsigned>(c - '0');
  if (!line.empty()) status.reason = printable(line.substr(1));
  return status;
}

std::string to_text(const HttpStatus& status) {
  return std::to_string(status.code) + (status.reason.empty() ? "" : " " + status.reason);
}

}  // namespace holdfast
