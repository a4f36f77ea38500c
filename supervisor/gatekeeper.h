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
#include "listener/listener.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sys/text_file.h"

namespace holdfast {

// Whom a listener lets in: lists of addresses that are read from files, and limits for each source.
//
// A file is read anew when it has changed, within two seconds. One that cannot be read, or has a mistake, is reported, and what held
// before goes on to hold: so a slip neither locks everybody out nor lets everybody in.
class Gatekeeper {
 public:
  // Whether anything is to be kept at all.
  [[nodiscard]] static bool is_needed(const AdmissionConfig& config);
  // Errors: a list that cannot be read, at the start.
  [[nodiscard]] static Result<std::unique_ptr<Gatekeeper>> create(Loop& loop, std::string listener,
                                                                  const AdmissionConfig& config, HashKey key);

  // Why a client is refused; nothing: he is let in. `source`: nothing for a Unix client, whom no limit is for.
  [[nodiscard]] std::optional<Refusal> judge(const std::optional<IpAddress>& source);

  // What would have been refused, were it not for dry-run.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& would_refuse() const { return would_refuse_; }
  [[nodiscard]] std::vector<Admission::Source> heaviest(std::size_t count) const;

 private:
  struct List {
    std::string path;  // empty: there is none
    FileStamp stamp;
    CidrSet set;
  };
  Gatekeeper(Loop& loop, std::string listener, const AdmissionConfig& config, HashKey key);
  [[nodiscard]] static Outcome read(List& list);
  void look_again();
  void look_again(List& list);
  [[nodiscard]] std::optional<Refusal> refuse_by_list(const IpAddress& source);

  Loop& loop_;
  const std::string listener_;
  const AdmissionConfig config_;
  Admission admission_;
  List allowed_;
  List denied_;
  std::map<std::string, std::uint64_t> would_refuse_;
  Timer timer_;
};

}  // namespace holdfast
