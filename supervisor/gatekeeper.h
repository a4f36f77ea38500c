#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/admission.h"
#include "core/cidr.h"
#include "core/result.h"
#include "listener/census.h"
#include "listener/listener.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sys/text_file.h"
#include "wire/clients_answer.h"
#include "wire/saved_state.h"

namespace holdfast {

// Whom a listener lets in: lists of addresses that are read from files, and limits for each source.
//
// A file is read anew when it has changed, within two seconds. One that cannot be read, or has a mistake, is reported, and what held
// before goes on to hold: so a slip neither locks everybody out nor lets everybody in. Who takes over from another supervisor and cannot
// read it has nothing that held before: the service goes on, and the list says nothing (nobody is allowed, nobody is denied) until it
// can be read. All others ask `check` first.
class Gatekeeper {
 public:
  // Whether anything is to be kept at all.
  [[nodiscard]] static bool is_needed(const AdmissionConfig& config);
  // Errors: limits for open connections where the kernel does not tell which are. A list that cannot be read is told in the log.
  [[nodiscard]] static Result<std::unique_ptr<Gatekeeper>> create(Loop& loop, std::string listener,
                                                                  const AdmissionConfig& config, HashKey key);

  // Why a client is refused; nothing: he is let in. `source`: nothing for a Unix client, whom no limit is for.
  [[nodiscard]] std::optional<Refusal> judge(const std::optional<IpAddress>& source, BorrowedFd connection);

  // Whether one more of those that were let in may be open (total-connections). In a dry run there always is room, and that there
  // would be none is counted.
  [[nodiscard]] bool has_room();
  // The same as far as it is known without asking, and nothing is counted.
  [[nodiscard]] bool seems_full() const;
  // It is given to a worker, and counts until it is closed.
  void on_passed_on(BorrowedFd connection);

  // What `judge` would answer; nothing is recorded.
  [[nodiscard]] std::optional<Refusal> foresee(const std::optional<IpAddress>& source) const;
  // What is in force, each in words: "deny = /etc/deny (3 ranges)".
  [[nodiscard]] std::vector<std::string> limits() const;

  // What would have been refused, were it not for dry-run.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& would_refuse() const { return would_refuse_; }
  // Whether sources are remembered; else there is nothing to tell of them.
  [[nodiscard]] bool remembers() const { return config_.remembers_sources(); }
  [[nodiscard]] bool counts_open() const { return by_source_ != nullptr; }
  // What the sources have done, for a program that takes over, or for other limits. What they have open is not among it.
  void save(SavedDoor& door) const;
  void recall(const SavedDoor& door);
  // The sources that have most open, where that is counted; of those with as many, the ones that came most often first.
  [[nodiscard]] std::vector<ClientsAnswer::Source> heaviest(std::size_t count);
  // Errors: a list that cannot be read, or has a mistake.
  [[nodiscard]] static Outcome check(const AdmissionConfig& config);

 private:
  struct List {
    std::string path;  // empty: there is none
    FileStamp stamp;
    CidrSet set;
    std::size_t ranges = 0;  // that it has
  };
  Gatekeeper(Loop& loop, std::string listener, const AdmissionConfig& config, HashKey key);
  [[nodiscard]] static Outcome read(List& list);
  void look_again();
  void look_again(List& list);
  [[nodiscard]] std::optional<Refusal> refuse_by_list(const IpAddress& source) const;
  [[nodiscard]] std::uint64_t group_of(const IpAddress& source) const;
  void recount_where_full(const IpAddress& source);
  void keep_count(const IpAddress& source, BorrowedFd connection, AdmissionTicket ticket);

  Loop& loop_;
  const std::string listener_;
  const AdmissionConfig config_;
  const HashKey key_;
  Admission admission_;
  List allowed_;
  List denied_;
  std::unique_ptr<Census> by_source_;  // null: how many a source has open is no matter
  std::unique_ptr<Census> of_all_;     // likewise for all together
  std::map<std::string, std::uint64_t> would_refuse_;
  Timer timer_;
};

}  // namespace holdfast
