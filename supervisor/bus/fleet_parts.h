#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "core/time.h"
#include "sys/sealed_memory.h"
#include "sys/unique_fd.h"
#include "wire/fleet_message.h"

namespace holdfast {

// Large messages of other machines, which come in parts, one after the other, and of each machine one message at a time. Each is put
// together in memory that workers can be given, part by part, so that nobody waits behind it for long.
//
// One whose parts do not follow each other is never whole: its number is missing, and counted by that. Bounded by what has come, not
// by what is claimed: beyond it the one goes that has had no part for longest.
class FleetParts {
 public:
  using Node = std::uint64_t;
  static constexpr std::size_t kMaxMessages = 64;
  static constexpr std::size_t kMaxBytes = std::size_t{256} << 20;
  struct Whole {
    std::string head;  // of the message: what `decode_fleet_message` reads, without data
    SharedMemory memory;
  };

  // Nothing: there is more to come, or the part follows nothing.
  [[nodiscard]] std::optional<Whole> add(const FleetMessage& part, TimePoint now);
  // What has had no part since then.
  void forget_the_silent(TimePoint since);
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  struct Begun {
    std::string head;
    UniqueFd memory;
    std::uint32_t done = 0;  // bytes that have come
    TimePoint heard;
  };
  using All = std::map<Node, Begun>;
  void forget(Node node);
  void forget(All::iterator begun);
  void keep_bounds(Node but);

  All begun_;
  std::size_t bytes_ = 0;
};

}  // namespace holdfast
