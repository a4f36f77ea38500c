#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/ip_address.h"
#include "core/placement_key.h"

namespace holdfast {

// Which sources connect most, where no limit asks for more to be remembered of them: a table of fixed size, whatever comes.
//
// Sources are counted in groups of a few, by their hash. A new one takes the place of the one that came least often in its group, and
// begins where that one was (Space-Saving: Metwally, Agrawal, El Abbadi 2005). So a source that makes an eighth of what comes to its group,
// about a thousandth of all, is there however many others come, and none is told to have come more often than it did.
class HeavySources {
 public:
  enum class Fate { LetIn, Refused };
  struct Source {
    IpAddress address;  // the prefix
    unsigned bits = 0;  // of it
    std::uint64_t seen = 0;
    std::uint64_t refused = 0;  // of these
  };

  // What counts as one source; `key` keeps strangers from choosing addresses that push each other out.
  HeavySources(KeyPrefix source, HashKey key) : source_(source), key_(key) {}

  void on_connection(const IpAddress& address, Fate fate);

  // All that are remembered, and how often each came since then.
  [[nodiscard]] std::vector<Source> sources() const;
  [[nodiscard]] KeyPrefix prefix() const { return source_; }

 private:
  static constexpr std::size_t kGroups = 128;
  static constexpr std::size_t kInGroup = 8;
  struct Entry {
    IpAddress address;
    std::uint32_t weight = 0;  // what it has, and what it may have had before; 0: nobody is here
    std::uint32_t seen = 0;
    std::uint32_t refused = 0;
  };

  KeyPrefix source_;
  HashKey key_;
  std::vector<Entry> entries_;  // none before the first has come: 36 KiB
};

// Of what was counted at several places: those that came most often, the first first.
[[nodiscard]] std::vector<HeavySources::Source> heaviest_of(std::vector<HeavySources::Source> sources,
                                                            std::size_t count);

}  // namespace holdfast
