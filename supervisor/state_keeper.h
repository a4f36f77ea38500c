#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/kept_names.h"
#include "core/result.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sys/activation.h"
#include "sys/fd_table.h"
#include "sys/state_memory.h"
#include "takeover.h"
#include "wire/saved_state.h"

namespace holdfast {

// Has the service manager keep what the next supervisor needs to go on with our workers if we are killed: every descriptor that
// the saved state names, and the memory in which that state is written anew whenever something changes.
//
// Connections that are still with us are not among it: a second description of a connection, kept elsewhere, would keep a
// client waiting for the end of what its worker has closed. Those few end with us.
class StateKeeper {
 public:
  using Snapshot = std::function<Result<SavedState>(FdList&)>;
  // `memory` and `kept` are what was there before us.
  static Result<std::unique_ptr<StateKeeper>> create(Loop& loop, Snapshot snapshot, std::optional<StateMemory> memory,
                                                     KeptNames::Files kept);

  // Something may have changed: it is kept outside of the caller, once for many calls. What the manager could not be told it is told
  // again within a second, for as long as that takes.
  void on_change();
  void keep_now();
  // We end in order, and nobody is to go on with anything.
  void forget();
  // What a program that follows us in this process needs to go on keeping.
  void save(SavedState& state, FdList& fds) const;

 private:
  StateKeeper(Loop& loop, Snapshot snapshot, StateMemory memory, KeptNames::Files kept);
  [[nodiscard]] static KeptNames::Files files_of(const FdList& fds);
  [[nodiscard]] Outcome keep();
  [[nodiscard]] static Outcome check_room(std::size_t wanted);
  void tell(const Outcome& outcome);

  Loop& loop_;
  const Snapshot snapshot_;
  StateMemory memory_;
  KeptNames kept_;
  bool due_ = false;
  bool fails_ = false;                                          // as it was told last
  Timer counters_;                                              // which change without a word
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // what is deferred looks whether we are
};

// What a supervisor that was killed has left with the service manager.
struct KeptState {
  Takeover takeover;
  StateMemory memory;
  KeptNames::Files names;            // all that the manager keeps
  std::vector<UniqueFd> workers;     // to end them if it cannot be used after all
  std::vector<std::string> missing;  // names in the state that the manager did not keep
};
// Takes it out of what the manager gave at our start; the rest stays there. Nothing: nobody has left anything. If it cannot be
// used, an error, after the end of `abandon`.
[[nodiscard]] std::optional<Result<KeptState>> take_kept_state(std::vector<GivenDescriptor>& given);
// It could not be taken over, for this reason: `abandon`, and the reason is told in full.
void give_up(const KeptState& kept, const Error& why);
// Nobody is to go on with it: the workers are killed, and the manager forgets what it keeps.
void abandon(const KeptNames::Files& names, const std::vector<UniqueFd>& workers);

}  // namespace holdfast
