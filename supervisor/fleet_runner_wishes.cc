#include "fleet_runner.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "worker_texts.h"

namespace holdfast {

namespace {

constexpr int kWarmUpSteps = 16;

}  // namespace

void FleetRunner::renew(std::optional<SlotId> slot, std::function<void(Outcome)> done) {
  if (fleet_.stop() != Fleet::Stop::No) return done(Error{{}, "the supervisor is stopping"});
  renewals_.begin(slot, std::move(done));
  schedule();
}

std::string_view FleetRunner::what_changes() const {
  if (roll_back_to_) return "a reload replaces its workers";
  if (!renewals_.empty()) return "a restart replaces its workers";
  if (!wishes_.empty()) return "somebody waits for its slots to be filled or emptied";
  if (warm_up_from_) return "new slots get their clients";
  if (!clean_ups_.empty()) return "a clean-up runs";
  if (!buried_.empty()) return "a health check is ending";
  return "";
}

void FleetRunner::set_size(unsigned size, std::function<void(Outcome)> done) {
  if (fleet_.stop() != Fleet::Stop::No) return done(Error{{}, "the supervisor is stopping"});
  if (size > slots_.size()) {
    if (Outcome grown = steerer_.grow(size); !grown) return done(std::move(grown));
    slots_.resize(size);
    told_.resize(size, Dispatcher::SlotState::Held);
    dispatcher_.resize(size);
  }
  if (size < dispatcher_.table().slots()) {
    warm_up_from_.reset();
    dispatcher_.set_table(table_for(pool_, size));
    steerer_.refresh();
  }
  size_ = size;
  keep_first_ = true;
  fleet_.set_size(size);
  wishes_.push_back({[this] { return sized(); }, std::move(done)});
  schedule();
}

void FleetRunner::set_drained(SlotId slot, bool drained, std::function<void(Outcome)> done) {
  if (fleet_.stop() != Fleet::Stop::No) return done(Error{{}, "the supervisor is stopping"});
  keep_first_ = true;
  fleet_.set_drained(slot, drained);
  const auto settled = [this, slot, drained]() -> std::optional<Outcome> {
    if (slot.value >= fleet_.slots().size()) return Error{{}, "the slot has gone"};
    const Fleet::Slot& state = fleet_.slots()[slot.value];
    if (state.drained != drained) return Error{{}, "somebody has wished the opposite meanwhile"};
    const bool empty = !state.incumbent && !state.successor && state.departing.empty();
    const bool serves = state.incumbent && std::holds_alternative<Fleet::Serving>(state.incumbent->phase);
    if (drained ? empty : serves) return Done{};
    const bool has_given_up =
        std::holds_alternative<Fleet::Resting>(state.pause) || std::holds_alternative<Fleet::Stopped>(state.pause);
    if (!drained && !state.incumbent && has_given_up) {
      return Error{{}, "no worker stays up there: " + slots_[slot.value].last_exit.value_or("it did not start")};
    }
    return std::nullopt;
  };
  wishes_.push_back({settled, std::move(done)});
  schedule();
}

void FleetRunner::await_serving(std::function<void(Outcome)> done) {
  wishes_.push_back({[this]() -> std::optional<Outcome> {
                       const auto is_well = [](const Fleet::Slot& slot) {
                         return slot.drained ||
                                (slot.incumbent && std::holds_alternative<Fleet::Serving>(slot.incumbent->phase));
                       };
                       if (std::all_of(fleet_.slots().begin(), fleet_.slots().end(), is_well)) return Done{};
                       const std::optional<Outcome> outcome = sized();
                       return outcome && !*outcome ? outcome : std::nullopt;
                     },
                     std::move(done)});
  schedule();
}

void FleetRunner::roll(std::function<void(Outcome)> done) {
  if (fleet_.stop() != Fleet::Stop::No) return done(Error{{}, "the supervisor is stopping"});
  if (roll_back_to_) return done(Error{{}, "another reload is replacing the workers: wait for its end"});
  roll_back_to_ = generation_;
  rolled_ = std::move(done);
  generation_ = Generation{++last_generation_};
  spdlog::info("pool {}: generation {} replaces {}", pool_.name, generation_.value, roll_back_to_->value);
  fleet_.set_generation(generation_);
  if (node_) node_->forget_servers();
  schedule();
}

void FleetRunner::settle_roll() {
  if (!roll_back_to_) return;
  for (const Fleet::Slot& slot : fleet_.slots()) {
    if (slot.drained) continue;
    const bool renewed = slot.incumbent && std::holds_alternative<Fleet::Serving>(slot.incumbent->phase) &&
                         slot.incumbent->generation == generation_;
    if (!renewed) return;
  }
  roll_back_to_.reset();
  std::exchange(rolled_, nullptr)(Done{});
}

void FleetRunner::fail_roll(const std::string& why) {
  if (!roll_back_to_) return;
  spdlog::error("pool {}: generation {} is given up, and {} comes back: {}", pool_.name, generation_.value,
                roll_back_to_->value, why);
  generation_ = *std::exchange(roll_back_to_, std::nullopt);
  fleet_.set_generation(generation_);
  const char* const now = pool_.fleet.restart_group == Fleet::RestartGroup::All
                              ? "the workers are started again as before"
                              : "the workers of before serve on";
  std::exchange(rolled_, nullptr)(Error{{}, std::string(now) + ": " + why});
  schedule();
}

// New slots take their share of the clients when each of them serves, or has shown that it does not.
void FleetRunner::adopt_size() {
  const unsigned before = dispatcher_.table().slots();
  if (size_ <= before || fleet_.slots().size() < size_) return;
  for (unsigned i = before; i < size_; i++) {
    const Fleet::Slot& slot = fleet_.slots()[i];
    const bool serves = slot.incumbent && std::holds_alternative<Fleet::Serving>(slot.incumbent->phase);
    if (!serves && !slot.lent) return;
  }
  spdlog::info("pool {}: {} slots serve, in place of {}", pool_.name, size_, before);
  warm_up_from_ = dispatcher_.table();
  warm_up_begun_ = loop_.now();
  warm_up();
}

// The next step of giving new slots their clients. In the steer plane that is a new program, so the steps are few.
void FleetRunner::warm_up() {
  if (!warm_up_from_) return;
  const Duration whole = pool_.slow_start;
  const Duration gone = loop_.now() - warm_up_begun_ + whole / kWarmUpSteps;
  const bool complete = gone >= whole;
  const double part = complete ? 1 : std::chrono::duration<double>(gone) / std::chrono::duration<double>(whole);
  dispatcher_.set_table(between(*warm_up_from_, table_for(pool_, size_), part));
  steerer_.refresh();
  if (complete) {
    warm_up_from_.reset();
    settle_wishes();
  } else {
    warming_up_.arm(loop_.now() + whole / kWarmUpSteps);
  }
}

std::optional<Outcome> FleetRunner::sized() const {
  if (warm_up_from_ || dispatcher_.table().slots() != size_ || slots_.size() != size_) return std::nullopt;
  for (unsigned i = 0; i < size_; i++) {
    if (!fleet_.slots()[i].lent || fleet_.slots()[i].drained) continue;
    return Error{{},
                 "slot " + std::to_string(i) + " has no worker: " + slots_[i].last_exit.value_or("it is starting") +
                     quote(slots_[i].last_lines)};
  }
  return Done{};
}

void FleetRunner::fail_wishes(const std::string& why) {
  for (const Wish& wish : std::exchange(wishes_, {})) wish.done(Error{{}, why});
}

bool FleetRunner::is_known(ListenerId listener) const {
  return std::any_of(occupants_.begin(), occupants_.end(), [listener](const auto& entry) {
    const std::vector<ListenerId>& known = entry.second.listeners;
    return std::find(known.begin(), known.end(), listener) != known.end();
  });
}

void FleetRunner::settle_wishes() {
  std::vector<Wish> open;
  for (Wish& wish : std::exchange(wishes_, {})) {
    if (const std::optional<Outcome> outcome = wish.settled()) {
      wish.done(*outcome);
    } else {
      open.push_back(std::move(wish));
    }
  }
  std::move(open.begin(), open.end(), std::back_inserter(wishes_));
}

}  // namespace holdfast
