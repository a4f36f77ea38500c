#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/ip_address.h"
#include "core/placement_key.h"

namespace holdfast {

// Both ends of a TCP connection. There are never two open ones with the same.
struct ConnectionEnds {
  IpAddress local;
  IpAddress remote;
  std::uint16_t local_port = 0;
  std::uint16_t remote_port = 0;
  bool operator==(const ConnectionEnds&) const = default;
};
// "192.0.2.1 80 203.0.113.7 40000": ours, then the other one.
[[nodiscard]] std::string to_text(const ConnectionEnds& ends);
[[nodiscard]] std::optional<ConnectionEnds> parse_ends(std::string_view text);

// Remembers connections that were given away, in groups (of one source, of one key), for somebody who can find out which of them
// are open still. It takes about 120 bytes for each.
class OpenConnections {
 public:
  struct Connection {
    ConnectionEnds ends;
    std::uint64_t group = 0;
    std::uint64_t note = 0;  // whatever is to be known of it
  };

  // `key` keeps strangers from choosing addresses that are slow to look up.
  explicit OpenConnections(HashKey key) : by_ends_(0, Hash{key}) {}

  // Answers one with the same ends that was there: it must have been closed.
  std::optional<Connection> add(const Connection& connection);
  // Nothing if it is not there.
  std::optional<Connection> remove(const ConnectionEnds& ends);

  // Of a group, those that were asked for least recently; the next call answers others, if there are more than `most`.
  [[nodiscard]] std::vector<Connection> next_of(std::uint64_t group, std::size_t most);
  // The same of all groups together, in any order.
  [[nodiscard]] std::vector<Connection> next(std::size_t most);
  // Some of them; who is asked for next does not change.
  [[nodiscard]] std::vector<Connection> some(std::size_t most) const;

  [[nodiscard]] std::size_t size() const { return by_ends_.size(); }

 private:
  struct Hash {
    HashKey key;
    std::size_t operator()(const ConnectionEnds& ends) const;
  };
  // Those of a group are a ring.
  struct Entry {
    Connection connection;
    std::uint32_t before = 0;
    std::uint32_t after = 0;
    bool is_used = false;
  };
  void link(std::uint32_t index);
  void unlink(std::uint32_t index);

  std::unordered_map<ConnectionEnds, std::uint32_t, Hash> by_ends_;
  std::unordered_map<std::uint64_t, std::uint32_t> groups_;  // the next of each to be asked for
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;
  std::size_t cursor_ = 0;
};

}  // namespace holdfast
