#include "renewals.h"

#include <algorithm>
#include <utility>
#include <variant>

namespace holdfast {

void Renewals::begin(std::optional<SlotId> slot, Answer done) {
  Renewal renewal{{}, std::move(done)};
  for (std::uint32_t i = 0; i < fleet_.slots().size(); i++) {
    if (slot && slot->value != i) continue;
    if (slot && fleet_.slots()[i].drained) {
      return renewal.done(Error{{}, "slot " + std::to_string(i) + " is drained: undrain starts a worker in it"});
    }
    if (fleet_.slots()[i].drained) continue;
    const std::optional<Fleet::Worker>& incumbent = fleet_.slots()[i].incumbent;
    renewal.waiting_for[SlotId{i}] = incumbent ? std::optional(incumbent->id) : std::nullopt;
    fleet_.request_renewal(SlotId{i});
  }
  renewals_.push_back(std::move(renewal));
}

void Renewals::settle() {
  for (Renewal& renewal : renewals_) {
    std::erase_if(renewal.waiting_for, [&](const auto& waiting) {
      if (waiting.first.value >= fleet_.slots().size()) return true;  // the slot itself has gone
      const Fleet::Slot& slot = fleet_.slots()[waiting.first.value];
      if (slot.drained) return true;  // by now: nobody is to serve there
      const std::optional<Fleet::Worker>& incumbent = slot.incumbent;
      return incumbent && std::holds_alternative<Fleet::Serving>(incumbent->phase) && incumbent->id != waiting.second;
    });
    if (renewal.waiting_for.empty()) renewal.done(Done{});
  }
  forget_answered();
}

void Renewals::fail(SlotId slot, const std::string& why) {
  for (Renewal& renewal : renewals_) {
    if (!renewal.waiting_for.contains(slot)) continue;
    // What broke this worker would break the others: those whose turn has not come keep theirs.
    for (const auto& [other, worker] : renewal.waiting_for) fleet_.withdraw_renewal(other);
    renewal.done(Error{{}, why});
    renewal.waiting_for.clear();
  }
  forget_answered();
}

void Renewals::fail_by(SlotId slot, WorkerId ended, const std::string& why) {
  const bool replacement = std::any_of(renewals_.begin(), renewals_.end(), [&](const Renewal& renewal) {
    const auto waiting = renewal.waiting_for.find(slot);
    return waiting != renewal.waiting_for.end() && waiting->second != ended;
  });
  if (replacement) fail(slot, why);
}

void Renewals::fail_all(const Error& why) {
  for (Renewal& renewal : renewals_) renewal.done(why);
  renewals_.clear();
}

void Renewals::forget_answered() {
  std::erase_if(renewals_, [](const Renewal& renewal) { return renewal.waiting_for.empty(); });
}

}  // namespace holdfast
