#pragma once

#include <string>
#include <string_view>

#include "core/result.h"

namespace holdfast {

// Where a Redis server is: `redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE]`, or `unix://[USER:PASSWORD@]/PATH` for its
// socket. A user or password with special characters is written with %XX.
struct RedisUrl {
  std::string host = {};  // empty: the path
  unsigned port = 6379;
  std::string path = {};
  std::string user = {};      // empty with a password: Redis's default user
  std::string password = {};  // empty: none is sent
  unsigned database = 0;
  bool operator==(const RedisUrl&) const = default;
};

[[nodiscard]] Result<RedisUrl> parse_redis_url(std::string_view text);
// Without the password: for the log and the status.
[[nodiscard]] std::string to_text(const RedisUrl& url);

}  // namespace holdfast
