#include "core/http_request.h"

#include <cstddef>

#include "core/text.h"

namespace holdfast {
namespace {

std::optional<unsigned> hex_digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  const char lower = to_lower(c);
  if (lower >= 'a' && lower <= 'f') return static_cast<unsigned>(lower - 'a' + 10);
  return std::nullopt;
}

// "http://example.com:80/path" in its two parts; the authority is empty in the other forms.
struct Target {
  std::string_view authority;
  std::string_view rest;  // from the path on
};

Target split(std::string_view target) {
  if (target.empty() || target.front() == '/' || target == "*") return {{}, target};
  const std::size_t scheme_end = target.find("://");
  if (scheme_end == std::string_view::npos) return {target, {}};  // CONNECT
  target.remove_prefix(scheme_end + 3);
  const std::size_t path = std::min(target.find_first_of("/?#"), target.size());
  return {target.substr(0, path), target.substr(path)};
}

std::optional<std::string> host_in(std::string_view authority) {
  authority = trimmed(authority);
  if (const std::size_t at = authority.rfind('@'); at != std::string_view::npos) authority.remove_prefix(at + 1);
  const std::size_t name_end = authority.starts_with('[') ? authority.find(']') : 0;
  if (name_end == std::string_view::npos) return std::nullopt;
  authority = authority.substr(0, authority.find(':', name_end));
  if (authority.ends_with('.')) authority.remove_suffix(1);
  return authority.empty() ? std::nullopt : std::optional(lower_case(authority));
}

bool has_token(const HttpRequest& request, std::string_view name, std::string_view token) {
  for (const HttpField& field : request.fields) {
    if (!equal_ignoring_case(field.name, name)) continue;
    for (std::string_view rest = field.value; !rest.empty();) {
      if (equal_ignoring_case(trimmed(take_until(rest, ',')), token)) return true;
    }
  }
  return false;
}

}  // namespace

std::optional<std::string_view> field_value(const HttpRequest& request, std::string_view name) {
  for (const HttpField& field : request.fields) {
    if (equal_ignoring_case(field.name, name) && !field.value.empty()) return field.value;
  }
  return std::nullopt;
}

std::optional<std::string> host_of(const HttpRequest& request) {
  if (const Target target = split(request.target); !target.authority.empty()) return host_in(target.authority);
  std::optional<std::string_view> found;
  for (const HttpField& field : request.fields) {
    if (!equal_ignoring_case(field.name, "Host")) continue;
    if (found) return std::nullopt;
    found = field.value;
  }
  return found ? host_in(*found) : std::nullopt;
}

bool is_websocket(const HttpRequest& request) { return has_token(request, "Upgrade", "websocket"); }

std::optional<std::string> cookie(const HttpRequest& request, std::string_view name) {
  for (const HttpField& field : request.fields) {
    if (!equal_ignoring_case(field.name, "Cookie")) continue;
    for (std::string_view rest = field.value; !rest.empty();) {
      std::string_view value = take_until(rest, ';');
      if (value.find('=') == std::string_view::npos || trimmed(take_until(value, '=')) != name) continue;
      value = trimmed(value);
      const bool quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
      return std::string(quoted ? value.substr(1, value.size() - 2) : value);
    }
  }
  return std::nullopt;
}

std::string percent_decoded(std::string_view text, Plus plus) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus == Plus::IsSpace) {
      decoded += ' ';
      continue;
    }
    const bool escape = text[i] == '%' && text.size() - i > 2;
    const std::optional<unsigned> high = escape ? hex_digit(text[i + 1]) : std::nullopt;
    const std::optional<unsigned> low = escape ? hex_digit(text[i + 2]) : std::nullopt;
    if (high && low) {
      decoded += static_cast<char>(*high << 4 | *low);
      i += 2;
    } else {
      decoded += text[i];
    }
  }
  return decoded;
}

std::string_view path_of(std::string_view target) {
  const std::string_view rest = split(target).rest;
  return rest.substr(0, rest.find_first_of("?#"));
}

std::optional<std::string> path_segment(std::string_view target, unsigned number) {
  for (std::string_view rest = path_of(target); !rest.empty();) {
    const std::string_view segment = take_until(rest, '/');
    if (!segment.empty() && --number == 0) return percent_decoded(segment);
  }
  return std::nullopt;
}

std::optional<std::string> query_parameter(std::string_view target, std::string_view name) {
  std::string_view rest = split(target).rest;
  rest = rest.substr(0, rest.find('#'));
  (void)take_until(rest, '?');
  while (!rest.empty()) {
    std::string_view value = take_until(rest, '&');
    if (percent_decoded(take_until(value, '='), Plus::IsSpace) == name) return percent_decoded(value, Plus::IsSpace);
  }
  return std::nullopt;
}

}  // namespace holdfast
