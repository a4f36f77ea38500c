#include <gtest/gtest.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "core/fleet.h"
#include "unit/core/fleet_rules.h"
#include "unit/core/fleet_text.h"
#include "unit/core/random_seed.h"
#include "wire/saved_fleet.h"

// Random histories of a fleet. A World stands in for the operating system and for the people: it performs the actions,
// its workers become ready, crash, hang and refuse to end, and its people change their minds. After each step
// FleetRules judges the answer, and copies of the fleet are asked what they would answer if nobody reported anything
// more.
//
// HOLDFAST_SEED=n plays the histories from n on; a failure names the seed with which it comes first.

namespace holdfast {
namespace {

using namespace std::chrono_literals;

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : engine_(seed) {}
  // In [low, high]; written out because the standard's distributions differ between libraries.
  unsigned between(unsigned low, unsigned high) { return low + static_cast<unsigned>(engine_() % (high - low + 1)); }
  bool one_in(unsigned n) { return between(1, n) == 1; }
  // Whole milliseconds, few of them, so that different deadlines often fall together.
  Duration time(unsigned low, unsigned high) { return std::chrono::milliseconds(between(low, high)); }
  std::uint64_t seed() { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

Fleet::Policy random_policy(Dice& dice) {
  Fleet::Policy policy;
  policy.start_timeout = dice.time(1, 30);
  policy.heartbeat_timeout = dice.one_in(3) ? Duration::zero() : dice.time(1, 30);
  policy.drain_timeout = dice.time(0, 30);
  policy.kill_timeout = dice.time(0, 10);
  policy.stop_timeout = policy.kill_timeout + dice.time(0, 60);
  policy.hold_timeout = dice.time(0, 20);
  policy.stable_time = dice.time(0, 40);
  policy.canary = dice.one_in(2) ? Duration::zero() : dice.time(0, 15);
  policy.surge = dice.between(1, 3);
  policy.linger = dice.between(0, 2);
  policy.backoff = {.first = dice.one_in(2) ? Duration::zero() : dice.time(0, 5),
                    .step = dice.time(0, 5),
                    .factor = 2,
                    .limit = 20ms,
                    .jitter = 0.2};
  policy.start_limit = {
      .failures = dice.one_in(4) ? 0 : dice.between(1, 4), .interval = dice.time(0, 60), .rest = dice.time(0, 50)};
  return policy;
}

// As an upgrade in place does it: the fleet as bytes, and another one made of them.
Fleet through_bytes(const Fleet& fleet, const Fleet::Policy& policy) {
  std::string fault;
  const Json read = parse_json(json_text(SavedWriter::object_of(fleet.save())));
  SavedReader reader(read, fault);
  Fleet::Saved saved;
  members(reader, saved);
  EXPECT_EQ(fault, "");
  return Fleet(policy, std::move(saved));
}

class World {
 public:
  enum class Mood { Wild, Calm };
  enum class Lateness { Never, Sometimes };  // whether the supervisor may be late for a deadline

  explicit World(std::uint64_t seed, std::ostream* trace)
      : dice_(seed),
        trace_(trace),
        policy_(random_policy(dice_)),
        lateness_(dice_.one_in(2) ? Lateness::Sometimes : Lateness::Never),
        fleet_(policy_, size_ = dice_.between(0, 4), generation_, dice_.seed()),
        rules_(policy_, size_, generation_) {
    reconcile();
  }

  void be_calm() {
    mood_ = Mood::Calm;
    lateness_ = Lateness::Never;
    for (auto& [id, worker] : workers_) {  // who hangs or never starts goes on doing so
      worker.crash_at.reset();
      worker.misbehave_at.reset();
      report_stall(id, false);
      report_health(id, true);
    }
    // A wish that starts again what was stopped or abandoned.
    set_size(dice_.between(1, 4));
    for (std::uint32_t slot = 0; slot < 6; slot++) set_drained(SlotId{slot}, false);
    set_generation(Generation{++last_generation_});
    reconcile();
  }

  void stop(Fleet::Stop stop) {
    lateness_ = Lateness::Never;
    say("stop " + std::to_string(static_cast<int>(stop)));
    fleet_.set_stop(stop);
    rules_.set_stop(stop);
    reconcile();
  }

  // Until the next thing happens: to a worker, by a deadline, or by somebody's wish.
  void step() {
    TimePoint next = fleet_.next_deadline();
    for (const auto& [id, worker] : workers_) next = std::min(next, next_event(worker));
    if (mood_ == Mood::Wild) next = std::min(next, now_ + dice_.time(0, 12));
    if (next == kNever) next = now_ + 1ms;
    now_ = std::max(now_, next);
    if (lateness_ == Lateness::Sometimes && dice_.one_in(6)) now_ += dice_.time(0, 40);
    report_facts();
    if (mood_ == Mood::Wild && dice_.one_in(5)) wish();
    if (mood_ == Mood::Wild && dice_.one_in(20)) report_a_stale_fact();
    reconcile();
  }

  [[nodiscard]] TimePoint now() const { return now_; }
  [[nodiscard]] const FleetRules& rules() const { return rules_; }
  [[nodiscard]] const Fleet& fleet() const { return fleet_; }
  [[nodiscard]] const Fleet::Policy& policy() const { return policy_; }
  [[nodiscard]] std::string broken() const { return broken_.empty() ? rules_.broken() : broken_; }
  [[nodiscard]] std::size_t actions() const { return actions_; }

  static constexpr Duration kLongestDeath = 3ms;  // from KILL to the exit

 private:
  // A process: what it will do by itself, and how it answers.
  struct Worker {
    std::optional<TimePoint> ready_at, crash_at, hang_at, misbehave_at, exit_at;
    std::optional<Duration> after_drain, after_terminate, after_abort;  // empty: it ignores this
    Fleet::WorkerEnd end = Fleet::WorkerEnd::Ended;
    bool is_ready = false;
    bool hangs = false;
  };

  void say(const std::string& text) const {
    if (trace_ != nullptr)
      *trace_ << std::chrono::duration<double, std::milli>(now_ - kStart).count() << "  " << text << '\n';
  }

  void require(bool holds, const char* rule) {
    if (!holds && broken_.empty()) broken_ = rule;
  }

  void reconcile() {
    // A start that fails at once is a fact that asks for another answer at the same time.
    do {
      failed_starts_ = 0;
      std::optional<Fleet> successor;
      if (dice_.one_in(40)) successor = through_bytes(fleet_, policy_);
      const std::vector<Fleet::Action> answer = fleet_.reconcile(now_);
      if (successor) {
        require(texts_of(successor->reconcile(now_)) == texts_of(answer) &&
                    successor->next_deadline() == fleet_.next_deadline(),
                "a fleet that was saved and read again answers as before");
        fleet_ = *std::move(successor);
      }
      actions_ += answer.size();
      if (trace_ != nullptr) {
        for (const std::string& text : texts_of(answer)) say("  -> " + text);
      }
      rules_.hear(answer, now_);
      rules_.compare(fleet_);
      ask_what_if();
      for (const Fleet::Action& action : answer) {
        std::visit([this](const auto& a) { perform(a); }, action);
      }
    } while (failed_starts_ > 0 && broken().empty());
  }

  // What would be answered if nobody reported anything more. Only a value can be asked that.
  void ask_what_if() {
    const auto answers_at = [&](TimePoint at) {
      Fleet copy = fleet_;
      return !copy.reconcile(at).empty();
    };
    require(!answers_at(now_), "asked again at the same time, a fleet answers nothing");
    const TimePoint deadline = fleet_.next_deadline();
    require(deadline > now_, "the next deadline is later than the answer");
    if (deadline == kNever) {
      require(!answers_at(now_ + 10000h), "without a deadline nothing but a fact changes the answer");
    } else {
      require(!answers_at(deadline - 1ns), "just before its deadline a fleet answers nothing");
      require(answers_at(deadline), "at its deadline a fleet answers something");
    }
  }

  // The operating system.

  void perform(const Fleet::CleanUpSlot&) {}
  void perform(const Fleet::StartWorker& a) {
    last_worker_ = a.worker;
    Worker worker;
    const bool wild = mood_ == Mood::Wild;
    if (wild && dice_.one_in(8)) {
      workers_[a.worker] = worker;
      failed_starts_++;
      exit(a.worker);
      return;
    }
    const auto likely = [&](unsigned n) { return !wild || !dice_.one_in(n); };
    const auto limit = static_cast<unsigned>(policy_.start_timeout / 1ms);
    if (likely(8)) worker.ready_at = now_ + (wild ? dice_.time(0, limit + 2) : dice_.time(0, limit - 1));
    if (!likely(3)) worker.crash_at = now_ + dice_.time(0, 60);
    if (!likely(5)) worker.hang_at = now_ + dice_.time(0, 40);
    if (!likely(12)) worker.misbehave_at = now_ + dice_.time(0, 40);
    if (likely(4)) worker.after_drain = dice_.time(0, 20);
    if (likely(4)) worker.after_terminate = dice_.time(0, 6);
    if (likely(4)) worker.after_abort = dice_.time(0, 6);
    if (!likely(8)) worker.end = Fleet::WorkerEnd::DoNotRestart;
    workers_[a.worker] = worker;
  }

  void perform(const Fleet::DrainWorker& a) { end_after(a.worker, &Worker::after_drain); }

  void perform(const Fleet::SignalWorker& a) {
    switch (a.signal) {
      case Fleet::Signal::Terminate:
        return end_after(a.worker, &Worker::after_terminate);
      case Fleet::Signal::Abort:
        return end_after(a.worker, &Worker::after_abort);
      case Fleet::Signal::Kill:
        return exit_by(a.worker, now_ + dice_.time(0, kLongestDeath / 1ms));
    }
  }

  template <class Other>
  void perform(const Other&) {}

  void end_after(WorkerId id, std::optional<Duration> Worker::*duration) {
    const auto found = workers_.find(id);
    if (found == workers_.end()) return;
    const Worker& worker = found->second;
    if (worker.hangs && duration != &Worker::after_abort) return;
    if (worker.*duration) exit_by(id, now_ + *(worker.*duration));
  }

  void exit_by(WorkerId id, TimePoint at) {
    const auto found = workers_.find(id);
    if (found == workers_.end()) return;
    found->second.exit_at = std::min(found->second.exit_at.value_or(kNever), at);
  }

  static TimePoint next_event(const Worker& worker) {
    TimePoint next = kNever;
    for (const auto& at : {worker.ready_at, worker.crash_at, worker.hang_at, worker.misbehave_at, worker.exit_at}) {
      if (at) next = std::min(next, *at);
    }
    return next;
  }

  void report_facts() {
    const auto due = [&](std::optional<TimePoint>& at) {
      const bool is_due = at && *at <= now_;
      if (is_due) at.reset();
      return is_due;
    };
    std::vector<WorkerId> gone;
    for (auto& [id, worker] : workers_) {
      if (due(worker.hang_at)) {
        say("hangs: " + FleetText::worker(id));
        worker.hangs = true;
        worker.ready_at.reset();
      }
      if (due(worker.ready_at)) {
        say("ready: " + FleetText::worker(id));
        worker.is_ready = true;
        fleet_.on_ready(id, now_);
        rules_.on_ready(id, now_);
      }
      if (worker.is_ready && !worker.hangs) report_heartbeat(id);
      if (mood_ == Mood::Wild && dice_.one_in(40)) report_stall(id, dice_.one_in(2));
      if (mood_ == Mood::Wild && dice_.one_in(30)) report_health(id, dice_.one_in(2));
      if (due(worker.misbehave_at)) {
        say("misbehaves: " + FleetText::worker(id));
        fleet_.on_misbehaved(id);
        rules_.on_misbehaved(id);
      }
      if (due(worker.crash_at) || due(worker.exit_at)) gone.push_back(id);
    }
    for (const WorkerId id : gone) exit(id);
  }

  void report_heartbeat(WorkerId id) {
    if (mood_ == Mood::Wild && dice_.one_in(4)) return;
    const TimePoint at = mood_ == Mood::Wild ? now_ - dice_.time(0, 3) : now_;
    fleet_.on_heartbeat(id, at);
    rules_.on_heartbeat(id, at);
  }

  void report_stall(WorkerId id, bool stalled) {
    say((stalled ? "stalls: " : "accepts: ") + FleetText::worker(id));
    fleet_.on_stalled(id, stalled);
    rules_.on_stalled(id, stalled);
  }

  void report_health(WorkerId id, bool healthy) {
    say((healthy ? "healthy: " : "unhealthy: ") + FleetText::worker(id));
    fleet_.on_health(id, healthy);
    rules_.on_health(id, healthy);
  }

  void exit(WorkerId id) {
    const Fleet::WorkerEnd end = workers_.at(id).end;
    say("exits: " + FleetText::worker(id) + (end == Fleet::WorkerEnd::DoNotRestart ? ", for ever" : ""));
    fleet_.on_exited(id, end, now_);
    rules_.on_exited(id, end, now_);
    workers_.erase(id);
  }

  // About somebody who is gone, or was never there.
  void report_a_stale_fact() {
    const WorkerId id{dice_.between(0, last_worker_.value + 2)};
    if (workers_.count(id) != 0) return;
    fleet_.on_ready(id, now_);
    fleet_.on_heartbeat(id, now_);
    fleet_.on_misbehaved(id);
    fleet_.on_stalled(id, true);
    fleet_.on_health(id, false);
  }

  // The people.

  void wish() {
    switch (dice_.between(0, 4)) {
      case 4:
        return set_drained(SlotId{dice_.between(0, 4)}, dice_.one_in(2));
      case 0:
        return set_size(dice_.between(0, 4));
      case 1:
        return set_generation(Generation{++last_generation_});
      case 2:
        return set_generation(Generation{dice_.between(1, last_generation_)});  // a rollback
      case 3:
        return request_renewal(SlotId{dice_.between(0, 5)});
    }
  }

  void set_size(unsigned size) {
    say("size " + std::to_string(size));
    size_ = size;
    fleet_.set_size(size);
    rules_.set_size(size);
  }

  void set_drained(SlotId slot, bool drained) {
    say((drained ? "drain " : "undrain ") + FleetText::slot(slot));
    fleet_.set_drained(slot, drained);
    rules_.set_drained(slot, drained);
  }

  void set_generation(Generation generation) {
    say("generation " + std::to_string(generation.value));
    generation_ = generation;
    fleet_.set_generation(generation);
    rules_.set_generation(generation);
  }

  void request_renewal(SlotId slot) {
    say("renew " + FleetText::slot(slot));
    fleet_.request_renewal(slot);
    rules_.request_renewal(slot);
  }

  static constexpr TimePoint kStart{1000h};

  Dice dice_;
  std::ostream* const trace_;
  const Fleet::Policy policy_;
  Lateness lateness_;
  Mood mood_ = Mood::Wild;
  TimePoint now_ = kStart;
  unsigned size_ = 0;
  std::uint32_t last_generation_ = 1;
  Generation generation_{1};
  Fleet fleet_;
  FleetRules rules_;
  std::map<WorkerId, Worker> workers_;
  WorkerId last_worker_;
  unsigned failed_starts_ = 0;  // in the last answer
  std::size_t actions_ = 0;
  std::string broken_;
};

// Endings of a history. Each answers the rule that is broken, or nothing.

std::string play_wildly(World& world) {
  for (int step = 0; step < 70 && world.broken().empty(); step++) world.step();
  return world.broken();
}

std::string calm_down(World& world) {
  if (world.rules().gave_up()) return "";
  world.be_calm();
  for (int step = 0; step < 500 && world.broken().empty() && !world.rules().at_rest(); step++) world.step();
  if (!world.broken().empty()) return world.broken();
  if (!world.rules().at_rest()) return "when the world calms down every slot is served as wished";
  if (world.fleet().renewing()) return "a fleet in which everything is as wished does not renew";
  const std::size_t actions = world.actions();
  for (int step = 0; step < 20 && world.broken().empty(); step++) world.step();
  if (world.actions() != actions) return "a fleet in a calm world stays calm";
  return world.broken();
}

std::string stop(World& world, Fleet::Stop stop, Duration limit) {
  if (world.rules().gave_up()) return "";
  world.stop(stop);
  const TimePoint end = *world.rules().stop_seen() + limit;
  while (world.broken().empty() && !world.rules().finished()) {
    if (world.now() > end) return "a stop ends in its time";
    world.step();
  }
  if (world.now() > end) return "a stop ends in its time";
  for (int step = 0; step < 5 && world.broken().empty(); step++) world.step();
  return world.broken();
}

std::string stop_gracefully(World& world) {
  return stop(world, Fleet::Stop::Graceful, world.policy().stop_timeout + World::kLongestDeath);
}

std::string stop_at_once(World& world) { return stop(world, Fleet::Stop::Immediate, World::kLongestDeath); }

// A second wish while the first is carried out.
std::string stop_impatiently(World& world) {
  if (world.rules().gave_up()) return "";
  world.stop(Fleet::Stop::Graceful);
  for (int step = 0; step < 5 && world.broken().empty() && !world.rules().finished(); step++) world.step();
  const Duration passed = world.now() - *world.rules().stop_seen();
  if (world.rules().finished()) return world.broken();
  return stop(world, Fleet::Stop::Immediate, passed + World::kLongestDeath);
}

using Ending = std::string (*)(World&);

std::string play(std::uint64_t seed, Ending ending, std::ostream* trace) {
  World world(seed, trace);
  const std::string broken = play_wildly(world);
  return broken.empty() ? ending(world) : broken;
}

#ifdef __SANITIZE_ADDRESS__
constexpr unsigned kHistories = 500;  // of each kind; the sanitizers take ten times as long
#else
constexpr unsigned kHistories = 4000;
#endif

void play_histories(Ending ending) {
  const std::uint64_t first = random_seed();
  for (std::uint64_t seed = first; seed < first + kHistories; seed++) {
    const std::string broken = play(seed, ending, nullptr);
    if (broken.empty()) continue;
    std::cout << "the history with HOLDFAST_SEED=" << seed << " (time in ms):\n";
    (void)play(seed, ending, &std::cout);
    FAIL() << "HOLDFAST_SEED=" << seed << " breaks the rule: " << broken;
  }
}

TEST(FleetHistory, KeepsAllRulesAndConvergesWhenTheWorldCalmsDown) { play_histories(calm_down); }
TEST(FleetHistory, AGracefulStopEndsInItsTimeWhateverHappened) { play_histories(stop_gracefully); }
TEST(FleetHistory, AnImmediateStopEndsAtOnceWhateverHappened) { play_histories(stop_at_once); }
TEST(FleetHistory, AStopThatBecomesUrgentEndsAtOnce) { play_histories(stop_impatiently); }

}  // namespace
}  // namespace holdfast
