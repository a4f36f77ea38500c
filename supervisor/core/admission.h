#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/ip_address.h"
#include "core/limit_set.h"
#include "core/placement_key.h"
#include "core/time.h"

namespace holdfast {

// Which connections are let in. 0 means no limit.
struct AdmissionPolicy {
  // What counts as one source. Many clients behind one address are one source: limits must leave room for them.
  KeyPrefix source = {};
  unsigned rate = 0;  // connections of a source within `rate_period`, and as many at once
  Duration rate_period = std::chrono::seconds(1);
  unsigned source_connections = 0;  // open connections of a source
  // After so many refusals within a time a source is refused everything for a time.
  unsigned ban_after = 0;
  Duration ban_within = std::chrono::minutes(1);
  Duration ban_time = std::chrono::minutes(1);
  unsigned sources = 65'536;  // that are remembered; beyond, the least recently seen are forgotten
  LimitSet tried = {};        // of these limits: they refuse nobody, so that one can see what they would do
};

// Where an admitted connection is counted, to be given back when it is closed. It stays valid whatever is forgotten
// meanwhile.
struct AdmissionTicket {
  std::uint32_t entry = 0;
  std::uint32_t birth = 0;
};

struct AdmissionVerdict {
  std::optional<Limit> refused_by;        // the first that did: Ban, SourceRate or SourceConnections
  LimitSet would_refuse;                  // each that is only tried and that would have, were it enforced
  std::optional<AdmissionTicket> ticket;  // if it was admitted
  Duration wait{};                        // if it was refused: until its source may come again; 0: nobody knows

  [[nodiscard]] bool admitted() const { return ticket.has_value(); }
};

// Keeps the flood of one source from the others: decides for each new connection whether it is let in, by what its source has
// done before.
//
// A source is what an address looks like through the prefix. What is remembered of it is bounded: the table has
// `policy.sources` entries of fixed size, and a new source takes the place of the one that was seen least recently, preferably of
// one that has no connection open and no ban. A source that is forgotten begins anew.
//
// The rate is a bucket that holds `rate` connections and fills evenly over `rate_period`: as many may come at once, and in the
// long run no more than that in a period (the algorithm is the leaky bucket as a meter, GCRA: one time is all it keeps).
class Admission {
 public:
  // `key` keeps strangers from choosing addresses that are slow to look up.
  Admission(const AdmissionPolicy& policy, HashKey key);
  // Other limits and times from now on; what sources have done, and have open, counts under them too. What counts as one source, and
  // how many are remembered, stays as it was made.
  void change(const AdmissionPolicy& policy, TimePoint now);

  // A connection comes from this address.
  [[nodiscard]] AdmissionVerdict on_connection(const IpAddress& address, TimePoint now);
  // What `on_connection` would answer, without a ticket; nothing is recorded.
  [[nodiscard]] AdmissionVerdict foresee(const IpAddress& address, TimePoint now) const;
  // An admitted connection is closed. Each ticket once.
  void on_closed(AdmissionTicket ticket);
  // One that another Admission has let in is still open; to be closed like those of ours.
  [[nodiscard]] AdmissionTicket recall_open(const IpAddress& source, TimePoint now);
  // Where a connection is counted; nothing: its source was forgotten.
  [[nodiscard]] std::optional<IpAddress> source_of(AdmissionTicket ticket) const;

  [[nodiscard]] std::uint64_t connections() const { return connections_; }  // open
  [[nodiscard]] std::size_t sources() const { return entries_.size(); }     // remembered
  [[nodiscard]] std::size_t bytes() const;                                  // of memory, for all of them

  // The sources with most open connections, most first; of those with as many, the ones that came most often.
  struct Source {
    IpAddress address;         // the prefix
    unsigned connections = 0;  // open
    unsigned seen = 0;         // connections since it is remembered
    unsigned refused = 0;      // of these; of limits that are tried, those that would have been
    bool banned = false;
  };
  [[nodiscard]] std::vector<Source> heaviest(std::size_t count, TimePoint now) const;

  // What a source has done, as long as that makes a difference or it has connections open: for another Admission to go on with.
  struct Memory {
    IpAddress address;  // the prefix
    TimePoint full_at{};
    TimePoint refused_since{};
    TimePoint banned_until{};
    std::uint32_t refusals = 0;
    std::uint32_t seen = 0;
  };
  // Of `most` sources, those that were seen last, in the order in which they were seen.
  [[nodiscard]] std::vector<Memory> memories(std::size_t most, TimePoint now) const;
  void recall(const Memory& memory, TimePoint now);

 private:
  // A source. Entries are linked by their index twice: in the chain of their hash, and in the order in which they were seen.
  struct Entry {
    IpAddress address;
    std::uint32_t birth = 0;  // changes whenever the entry is given to another source
    TimePoint full_at{};      // when the bucket of its rate has room for all of `rate` again
    TimePoint refused_since{};
    TimePoint banned_until{};
    std::uint32_t connections = 0;
    std::uint32_t refusals = 0;
    std::uint32_t seen = 0;
    std::uint32_t refused = 0;
    std::uint32_t next_in_chain = 0;
    std::uint32_t newer = 0;
    std::uint32_t older = 0;
  };

  [[nodiscard]] IpAddress source_of(const IpAddress& address) const;
  [[nodiscard]] std::size_t chain_index(const IpAddress& address) const;
  [[nodiscard]] std::uint32_t& chain_of(const IpAddress& address) { return chains_[chain_index(address)]; }
  [[nodiscard]] std::uint32_t find(const IpAddress& address) const;
  std::uint32_t entry_for(const IpAddress& address, TimePoint now);
  std::uint32_t new_entry(TimePoint now);
  [[nodiscard]] std::uint32_t entry_to_reuse(TimePoint now) const;
  void unchain(std::uint32_t index);
  void unlink(std::uint32_t index);
  void link_as_newest(std::uint32_t index);

  void set_policy(const AdmissionPolicy& policy);
  [[nodiscard]] bool rate_is_reached(const Entry& entry, TimePoint now) const;
  [[nodiscard]] AdmissionVerdict judge(const Entry& entry, TimePoint now) const;
  [[nodiscard]] Duration wait_of(const Entry& entry, TimePoint now) const;
  [[nodiscard]] bool counts_for_a_ban(const AdmissionVerdict& verdict) const;
  void record_refusal(Entry& entry, TimePoint now) const;

  AdmissionPolicy policy_;
  HashKey key_;
  Duration rate_step_{};  // the time in which the bucket gains room for one connection
  std::uint64_t connections_ = 0;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> chains_;  // the first entry of each chain; a power of two of them
  std::uint32_t newest_;
  std::uint32_t oldest_;
};

}  // namespace holdfast
