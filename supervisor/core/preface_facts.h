#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/http_request.h"
#include "core/ip_address.h"

namespace holdfast {

// What is known of a connection when its pool and its slot are decided. The first bytes were looked at only if a key or a route
// asks for them. Everything is borrowed for the time of the decision.
struct PrefaceFacts {
  // The client: as the PROXY header names it, else the other end of the connection. Nothing for a Unix client.
  std::optional<IpAddress> remote;
  // The same, but only if there was a PROXY header that named it.
  std::optional<IpAddress> proxy;
  const HttpRequest* request = nullptr;  // nullptr: the connection does not begin with an HTTP/1 head
  // Of the TLS hello; where TLS ended at the proxy, of the PROXY header (authority, ALPN). Lower case.
  std::string_view server_name;
  std::span<const std::string> alpn;
};

}  // namespace holdfast
