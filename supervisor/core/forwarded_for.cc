#include "core/forwarded_for.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "core/text.h"

namespace holdfast {
namespace {

// "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80". What the port is does not matter.
std::optional<IpAddress> address_of_node(std::string_view node) {
  if (node.starts_with('[')) {
    const std::size_t end = node.find(']');
    if (end == std::string_view::npos || (end + 1 < node.size() && node[end + 1] != ':')) return std::nullopt;
    const std::string_view inside = node.substr(1, end - 1);
    return inside.find(':') == std::string_view::npos ? std::nullopt : IpAddress::parse(inside);
  }
  const std::size_t colon = node.find(':');
  const bool v4_with_port = colon != std::string_view::npos && node.find(':', colon + 1) == std::string_view::npos;
  return IpAddress::parse(v4_with_port ? node.substr(0, colon) : node);
}

// Takes what stands before the next `separator` that is not inside quotes.
std::string_view take_unquoted(std::string_view& rest, char separator) {
  bool quoted = false;
  std::size_t end = 0;
  for (; end < rest.size() && (quoted || rest[end] != separator); ++end) {
    if (quoted && rest[end] == '\\') {
      ++end;
    } else if (rest[end] == '"') {
      quoted = !quoted;
    }
  }
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(part.size() + 1, rest.size()));
  return part;
}

std::string unquoted(std::string_view value) {
  if (value.size() < 2 || value.front() != '"' || value.back() != '"') return std::string(value);
  std::string text;
  for (std::size_t i = 1; i + 1 < value.size(); ++i) {
    if (value[i] == '\\' && i + 2 < value.size()) ++i;
    text += value[i];
  }
  return text;
}

// The `for` of one element of Forwarded.
std::optional<IpAddress> address_of_element(std::string_view element) {
  while (!element.empty()) {
    std::string_view value = take_unquoted(element, ';');
    if (equal_ignoring_case(trimmed(take_until(value, '=')), "for")) return address_of_node(unquoted(trimmed(value)));
  }
  return std::nullopt;
}

// What each proxy wrote, in the order of writing. Several fields of the name are one list.
std::vector<std::string_view> elements_of(const HttpRequest& request, ForwardedField which) {
  const bool quotes = which == ForwardedField::Forwarded;
  std::vector<std::string_view> elements;
  for (const HttpField& field : request.fields) {
    if (!equal_ignoring_case(field.name, quotes ? "Forwarded" : "X-Forwarded-For")) continue;
    for (std::string_view rest = field.value; !rest.empty();) {
      const std::string_view element = trimmed(quotes ? take_unquoted(rest, ',') : take_until(rest, ','));
      if (!element.empty()) elements.push_back(element);  // RFC 9110, 5.6.1: empty elements of a list do not count
    }
  }
  return elements;
}

}  // namespace

std::optional<IpAddress> forwarded_for(const HttpRequest& request, ForwardedField field, const CidrSet& trusted,
                                       const IpAddress& peer) {
  if (!trusted.contains(peer)) return std::nullopt;
  const std::vector<std::string_view> elements = elements_of(request, field);
  std::optional<IpAddress> client;
  for (auto element = elements.rbegin(); element != elements.rend(); ++element) {
    client = field == ForwardedField::Forwarded ? address_of_element(*element) : address_of_node(*element);
    if (!client || !trusted.contains(*client)) break;
  }
  return client;
}

}  // namespace holdfast
