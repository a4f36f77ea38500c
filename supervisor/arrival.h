#pragma once

#include <optional>
#include <string>

#include "core/ids.h"
#include "core/preface_key.h"
#include "sys/sockets.h"

namespace holdfast {

// An accepted connection of which everything is known that its placement asks for.
struct Arrival {
  UniqueFd fd;
  ListenerId listener;
  Endpoint remote;                // the client
  std::optional<Endpoint> local;  // where the client connected to, if a PROXY header tells
  bool is_proxied = false;        // the addresses are those of a PROXY header
  std::optional<FoundKey> key;    // what it is placed by, if that is not the client's address as it is
  std::string details;            // ConnectionDetails
};

}  // namespace holdfast
