#include "core/redis_url.h"

#include <charconv>
#include <optional>

namespace holdfast {

namespace {

Error wrong(const std::string& why) {
  return Error{{}, why + "; write redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE] or unix://[USER:PASSWORD@]/PATH"};
}

std::optional<unsigned> number(std::string_view text, unsigned most) {
  unsigned value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size() || value > most) return std::nullopt;
  return value;
}

std::optional<std::string> decoded(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); i++) {
    if (text[i] != '%') {
      plain += text[i];
      continue;
    }
    unsigned value = 0;
    const char* const digits = text.data() + i + 1;
    if (i + 2 >= text.size() || std::from_chars(digits, digits + 2, value, 16).ptr != digits + 2) return std::nullopt;
    plain += static_cast<char>(value);
    i += 2;
  }
  return plain;
}

}  // namespace

Result<RedisUrl> parse_redis_url(std::string_view text) {
  constexpr std::string_view kTcp = "redis://";
  constexpr std::string_view kUnix = "unix://";
  if (text.starts_with("rediss://")) {
    return wrong(
        "this program speaks to Redis without TLS: let stunnel or the like listen on this machine, and name that");
  }
  const bool by_path = text.starts_with(kUnix);
  if (!by_path && !text.starts_with(kTcp)) return wrong("'" + std::string(text) + "' is no address of Redis");
  text.remove_prefix(by_path ? kUnix.size() : kTcp.size());
  RedisUrl url;
  if (const std::size_t at = text.rfind('@'); at != std::string_view::npos) {
    const std::string_view account = text.substr(0, at);
    const std::size_t colon = account.find(':');
    if (colon == std::string_view::npos) return wrong("before the '@' stands USER:PASSWORD");
    const auto user = decoded(account.substr(0, colon));
    const auto password = decoded(account.substr(colon + 1));
    if (!user || !password) return wrong("a '%' in user and password is written %25");
    url.user = *user;
    url.password = *password;
    text.remove_prefix(at + 1);
  }
  if (by_path) {
    if (!text.starts_with('/')) return wrong("the path of the socket begins with '/'");
    url.path = text;
    return url;
  }
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos && slash + 1 < text.size()) {
    const auto database = number(text.substr(slash + 1), 65535);
    if (!database) return wrong("behind the '/' stands the number of a database");
    url.database = *database;
  }
  std::string_view place = text.substr(0, slash);
  const std::size_t bracket = place.starts_with('[') ? place.find(']') : 0;
  if (bracket == std::string_view::npos) return wrong("a ']' is missing");
  const std::size_t colon = place.find(':', bracket);
  if (colon != std::string_view::npos) {
    const auto port = number(place.substr(colon + 1), 65535);
    if (!port || *port == 0) return wrong("behind the ':' stands a port");
    url.port = *port;
  }
  place = place.substr(0, colon);
  if (bracket > 0) place = place.substr(1, bracket - 1);
  if (place.empty()) return wrong("there is no host");
  url.host = place;
  return url;
}

std::string to_text(const RedisUrl& url) {
  if (!url.path.empty()) return "unix://" + url.path;
  const bool is_v6 = url.host.find(':') != std::string::npos;
  return "redis://" + (is_v6 ? "[" + url.host + "]" : url.host) + ":" + std::to_string(url.port) + "/" +
         std::to_string(url.database);
}

}  // namespace holdfast
