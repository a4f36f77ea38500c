#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace holdfast {

// The answer to `clients`: for each listener the sources that have most open, or came most often.
struct ClientsAnswer {
  struct Source {
    std::string address;        // the prefix: "203.0.113.7/32"
    std::uint64_t open = 0;     // connections, where they are counted
    std::uint64_t seen = 0;     // connections since it is remembered
    std::uint64_t refused = 0;  // of these; in a dry run those that would have been
    bool banned = false;
  };
  struct Listener {
    std::string name;
    bool remembers = false;    // its sources at all: not of a Unix path, nor where the kernel hands connections out
    bool counts_open = false;  // connections
    std::vector<std::string> limits;  // in force, in words
    std::vector<Source> sources;      // the heaviest first
  };
  std::vector<Listener> listeners;
};

[[nodiscard]] std::string to_json(const ClientsAnswer& answer);
[[nodiscard]] Result<ClientsAnswer> parse_clients_answer(std::string_view json);

}  // namespace holdfast
