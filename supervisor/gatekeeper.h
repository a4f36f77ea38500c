#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/admission.h"
#include "core/cidr.h"
#include "core/heavy_sources.h"
#include "core/result.h"
#include "listener/census.h"
#include "listener/listener.h"
#include "loop/background.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sys/text_file.h"
#include "wire/clients_answer.h"
#include "wire/saved_state.h"

namespace holdfast {

// Whom a listener lets in: lists of addresses that are read from files, and limits for each source.
//
// A file is read anew when it has changed and then stood still for a second: one that is still being written says something else than
// it will. One that cannot be read, or has a mistake, is reported, and what held before goes on to hold: so a slip neither locks everybody
// out nor lets everybody in. That nobody at all is to be let in is taken for such a slip. Who takes over from another
// supervisor and cannot read it has nothing that held before: the service goes on, and the list says nothing (nobody is allowed, nobody
// is denied) until it can be read. All others ask `check` first.
class Gatekeeper {
 public:
  // Whether anything is to be kept at all.
  [[nodiscard]] static bool is_needed(const AdmissionConfig& config);
  // Errors: limits for open connections where the kernel does not tell which are. A list that cannot be read is told in the log.
  [[nodiscard]] static Result<std::unique_ptr<Gatekeeper>> create(Loop& loop, std::string listener,
                                                                  const AdmissionConfig& config, HashKey key);
  // From now on with other lists and limits. What sources have done and have open counts under them too; only where it is another
  // thing that counts as a source, or another number of them is remembered, what they have open is forgotten. Errors, and then nothing
  // has changed: those of `create`.
  [[nodiscard]] Outcome change(const AdmissionConfig& config);

  // Why a client is refused, and when his source may come again (0: nobody knows); nothing: he is let in. `source`: nothing for a Unix
  // client, whom no limit is for.
  struct Refused {
    Refusal reason;
    Duration wait{};
  };
  [[nodiscard]] std::optional<Refused> judge(const std::optional<IpAddress>& source, BorrowedFd connection);

  // Whether one more of those that were let in may be open (total-connections). Where that is only tried there always is room, and that
  // there would be none is counted.
  [[nodiscard]] bool has_room();
  // Whether there is none; nothing is counted.
  [[nodiscard]] bool is_full();
  // It is given to a worker, and counts until it is closed.
  void on_passed_on(BorrowedFd connection);

  // What `judge` would answer; nothing is recorded.
  [[nodiscard]] std::optional<Refusal> foresee(const std::optional<IpAddress>& source);
  // What is in force, each in words: "deny = /etc/deny (3 ranges)".
  [[nodiscard]] std::vector<std::string> limits() const;

  // What would have been refused, were it not for dry-run.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& would_refuse() const { return would_refuse_; }
  // One that somebody else would have refused, or held up; `why`: as the reason of a refusal.
  void count_would_refuse(std::string_view why) { ++would_refuse_[std::string(why)]; }
  [[nodiscard]] bool counts_open() const { return by_source_ != nullptr; }
  // What the sources have done, for a program that takes over, and of what is open so many connections.
  void save(SavedDoor& door, std::size_t most_open) const;
  void recall(const SavedDoor& door);
  // The sources that have most open, where that is counted; of those with as many, the ones that came most often first. Without a limit
  // for sources none is forgotten that makes a good part of all connections (core/heavy_sources.h).
  [[nodiscard]] std::vector<ClientsAnswer::Source> heaviest(std::size_t count);
  // Errors: a list that cannot be read, or has a mistake.
  [[nodiscard]] static Outcome check(const AdmissionConfig& config);

 private:
  struct List {
    enum class Holds { WhoIsLetIn, WhoIsNot };
    Holds holds;
    std::string path = {};  // empty: there is none
    FileStamp stamp = {};   // when it was read
    FileStamp seen = {};    // when it was looked at last
    CidrSet set = {};
    std::size_t ranges = 0;  // that it has
  };
  Gatekeeper(Loop& loop, std::string listener, HashKey key);
  [[nodiscard]] static Outcome read(List& list);
  [[nodiscard]] List list_for(const std::string& path, const List& before) const;
  void remember_sources(const AdmissionConfig& config, std::unique_ptr<Census> by_source);
  [[nodiscard]] bool is_tried(Limit limit) const { return config_.tried().contains(limit); }
  [[nodiscard]] bool seems_full() const { return of_all_ && of_all_->remembered() >= config_.total_connections; }
  void look_again();
  [[nodiscard]] static bool is_to_be_read(List& list);
  void read_anew(const List& list);
  void take(List read, const Outcome& outcome);
  void recall_open(const SavedDoor& door);
  void count_tried(LimitSet limits);
  [[nodiscard]] std::optional<Refused> judge_by_limits(const IpAddress& source, BorrowedFd connection);
  [[nodiscard]] LimitSet lists_against(const IpAddress& source) const;
  [[nodiscard]] std::uint64_t group_of(const IpAddress& source) const;
  void recount_where_full(const IpAddress& source);
  void keep_count(const IpAddress& source, BorrowedFd connection, AdmissionTicket ticket);

  Loop& loop_;
  const std::string listener_;
  AdmissionConfig config_;
  const HashKey key_;
  std::optional<Admission> admission_;  // nothing: there is no limit for sources
  std::optional<HeavySources> heavy_;   // then, who comes most
  List allowed_{List::Holds::WhoIsLetIn};
  List denied_{List::Holds::WhoIsNot};
  std::unique_ptr<Census> by_source_;  // null: how many a source has open is no matter
  std::unique_ptr<Census> of_all_;     // likewise for all together
  std::map<std::string, std::uint64_t> would_refuse_;
  std::unique_ptr<Background> reading_;  // while a list that has changed is read: it may have a million lines
  Timer timer_;
};

[[nodiscard]] ClientsAnswer::Source told_of(const HeavySources::Source& source);

}  // namespace holdfast
