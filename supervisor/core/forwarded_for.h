#pragma once

#include <optional>

#include "core/cidr.h"
#include "core/http_request.h"
#include "core/ip_address.h"

namespace holdfast {

// Which field the proxies in front of us write. Only one is believed: a proxy that writes the one passes on unchanged whatever
// a client put into the other.
enum class ForwardedField {
  XForwardedFor,  // "203.0.113.7, 10.0.0.2"
  Forwarded,      // RFC 7239: "for=203.0.113.7;proto=https, for=10.0.0.2"
};

// The client's address as the proxies wrote it down. Each proxy appends whom it serves, so the list is read from the right,
// and only as far as those are trusted who wrote it: the first address that is not a trusted proxy's is the client's. If all
// are, it is the leftmost one.
// Nothing if `peer`, the sender of the connection, is not trusted itself (then it wrote the whole list), if the
// field is not there, or if what a trusted proxy wrote is no address ("unknown", an obfuscated name).
[[nodiscard]] std::optional<IpAddress> forwarded_for(const HttpRequest& request, ForwardedField field,
                                                     const CidrSet& trusted, const IpAddress& peer);

}  // namespace holdfast
