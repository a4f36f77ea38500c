#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/fleet.h"
#include "core/result.h"

namespace holdfast {

// Who waits for workers to be replaced (`holdfast restart --wait`), and what becomes of it: a renewal is done when every
// slot that it names is served by another worker than at its beginning, and has failed when one of the new ones has. Drained slots
// are none of it.
class Renewals {
 public:
  using Answer = std::function<void(Outcome)>;
  explicit Renewals(Fleet& fleet) : fleet_(fleet) {}

  // Wishes it of the fleet; nothing: of every slot. `done` is called once; at once, with an error, if the slot is drained.
  void begin(std::optional<SlotId> slot, Answer done);
  // After a reconcile: answers those that are complete.
  void settle();
  // No new worker came up in the slot.
  void fail(SlotId slot, const std::string& why);
  // A worker has ended that had the slot. If it was the new one, what waits for it has failed.
  void fail_by(SlotId slot, WorkerId ended, const std::string& why);
  void fail_all(const Error& why);
  [[nodiscard]] bool empty() const { return renewals_.empty(); }

 private:
  struct Renewal {
    std::map<SlotId, std::optional<WorkerId>> waiting_for;  // slot -> the incumbent that is to go
    Answer done;
  };
  void forget_answered();

  Fleet& fleet_;
  std::vector<Renewal> renewals_;
};

}  // namespace holdfast
