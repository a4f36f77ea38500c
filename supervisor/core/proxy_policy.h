#pragma once

#include <vector>

#include "core/cidr.h"

namespace holdfast {

// Whether the connections of a listener begin with a PROXY header (wire/proxy_protocol.h). It names the client whom placement,
// limits and logs know, so only those may write one whom we believe.
struct ProxyPolicy {
  enum class Mode {
    Off,           // what looks like a header is the client's own bytes
    Required,      // every connection begins with one; without it a connection is refused
    OptionalFrom,  // those of `senders` may begin with one; of all others it is not looked for
  };
  Mode mode = Mode::Off;
  std::vector<Cidr> senders = {};  // of OptionalFrom
  bool operator==(const ProxyPolicy&) const = default;
};

}  // namespace holdfast
