// Workers that are started in order, that belong together, or leave something behind.
#include <gmock/gmock.h>

#include <map>
#include <random>

#include "core/fleet.h"
#include "unit/core/fleet_text.h"
#include "unit/core/random_seed.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::IsEmpty;

Fleet::Policy policy() {
  Fleet::Policy policy;
  policy.backoff.jitter = 0;
  policy.backoff.first = 100ms;
  policy.heartbeat_timeout = Duration::zero();
  return policy;
}
Fleet::Policy in_order() {
  Fleet::Policy policy = holdfast::policy();
  policy.start_order = Fleet::StartOrder::OneByOne;
  return policy;
}
Fleet::Policy of_group() {
  Fleet::Policy policy = holdfast::policy();
  policy.restart_group = Fleet::RestartGroup::All;
  return policy;
}

const TimePoint kStart{1h};

class Scene {
 public:
  explicit Scene(const Fleet::Policy& policy, unsigned size = 3) : fleet(policy, size, Generation{1}, 1) {}
  std::vector<std::string> reconcile() {
    std::vector<std::string> texts = texts_of(fleet.reconcile(now));
    EXPECT_THAT(fleet.reconcile(now), IsEmpty()) << "asked again at the same time";
    EXPECT_GT(fleet.next_deadline(), now);
    return texts;
  }
  std::vector<std::string> ready(std::uint32_t worker) {
    fleet.on_ready(WorkerId{worker}, now);
    return reconcile();
  }
  std::vector<std::string> exits(std::uint32_t worker) {
    fleet.on_exited(WorkerId{worker}, Fleet::WorkerEnd::Ended, now);
    return reconcile();
  }
  void all_ready() {
    reconcile();
    for (std::uint32_t worker = 1; worker <= fleet.slots().size(); worker++) ready(worker);
  }

  Fleet fleet;
  TimePoint now = kStart;
};

TEST(FleetOrder, EachWaitsForThoseBelowIt) {
  Scene scene(in_order());
  EXPECT_THAT(scene.reconcile(), ElementsAre("start worker 1 in slot 0 of generation 1"));
  EXPECT_THAT(scene.ready(1), ElementsAre("start worker 2 in slot 1 of generation 1"));
  EXPECT_THAT(scene.ready(2), ElementsAre("start worker 3 in slot 2 of generation 1"));
  EXPECT_THAT(scene.ready(3), IsEmpty());
}

TEST(FleetOrder, OneThatDiesComesBackAloneAndOneThatRestsHoldsNobodyUp) {
  Fleet::Policy policy = in_order();
  policy.start_limit.failures = 1;
  Scene scene(policy);
  scene.reconcile();
  EXPECT_THAT(scene.exits(1), ElementsAre("rest slot 0", "lend slot 0", "start worker 2 in slot 1 of generation 1"));
}

TEST(FleetOrder, ADrainedSlotIsNotWaitedFor) {
  Scene scene(in_order());
  scene.all_ready();
  scene.fleet.set_drained(SlotId{0}, true);
  scene.fleet.on_exited(WorkerId{2}, Fleet::WorkerEnd::Ended, scene.now);
  scene.reconcile();
  scene.now += 100ms;
  EXPECT_THAT(scene.reconcile(), ElementsAre("start worker 4 in slot 1 of generation 1"));
}

TEST(FleetGroup, OneDiesAndAllGoAndComeBackInOrder) {
  Scene scene(of_group());
  scene.all_ready();
  EXPECT_THAT(scene.exits(2), ElementsAre("delay slot 1 after failure 1", "drain worker 1", "drain worker 3"));
  EXPECT_THAT(scene.exits(1), IsEmpty());
  scene.now += 100ms;
  EXPECT_THAT(scene.reconcile(), IsEmpty()) << "one is still there";
  EXPECT_THAT(scene.exits(3), ElementsAre("start worker 4 in slot 0 of generation 1"));
  EXPECT_THAT(scene.ready(4), ElementsAre("start worker 5 in slot 1 of generation 1"));
  EXPECT_THAT(scene.ready(5), ElementsAre("start worker 6 in slot 2 of generation 1"));
}

TEST(FleetGroup, NobodyIsStartedBeforeTheOneThatFailedMayBe) {
  Scene scene(of_group(), 2);
  scene.all_ready();
  scene.exits(2);
  EXPECT_THAT(scene.exits(1), IsEmpty());
  EXPECT_EQ(scene.fleet.next_deadline(), scene.now + 100ms);
  scene.now += 100ms;
  EXPECT_THAT(scene.reconcile(), ElementsAre("start worker 3 in slot 0 of generation 1"));
}

TEST(FleetGroup, ARenewalIsOneOfAll) {
  Scene scene(of_group(), 2);
  scene.all_ready();
  scene.fleet.request_renewal(SlotId{1});
  EXPECT_THAT(scene.reconcile(), ElementsAre("drain worker 1", "drain worker 2"));
  scene.exits(2);
  EXPECT_THAT(scene.exits(1), ElementsAre("start worker 3 in slot 0 of generation 1"));
  EXPECT_THAT(scene.ready(3), ElementsAre("start worker 4 in slot 1 of generation 1"));
}

TEST(FleetGroup, WhoeverSaysNotToRestartHimEndsTheGroup) {
  Scene scene(of_group(), 2);
  scene.all_ready();
  scene.fleet.on_exited(WorkerId{2}, Fleet::WorkerEnd::DoNotRestart, scene.now);
  EXPECT_THAT(scene.reconcile(), ElementsAre("stop slot 1", "drain worker 1", "lend slot 1"));
  EXPECT_THAT(texts_of((scene.fleet.on_exited(WorkerId{1}, Fleet::WorkerEnd::Ended, scene.now),
                        scene.fleet.reconcile(scene.now))),
              ElementsAre("give up"));
}

TEST(FleetCleanUp, ComesBeforeARestartAndItsFailureCounts) {
  Fleet::Policy policy = holdfast::policy();
  policy.clean_up = Fleet::CleanUp::BeforeRestart;
  Scene scene(policy, 1);
  EXPECT_THAT(scene.reconcile(), ElementsAre("start worker 1 in slot 0 of generation 1")) << "there is nothing yet";
  scene.ready(1);
  scene.exits(1);
  scene.now += 100ms;
  EXPECT_THAT(scene.reconcile(), ElementsAre("clean up slot 0"));
  scene.now += 1h;
  EXPECT_THAT(scene.reconcile(), ElementsAre("lend slot 0")) << "it is waited for";
  scene.fleet.on_cleaned_up(SlotId{0}, false);
  EXPECT_THAT(scene.reconcile(), ElementsAre("delay slot 0 after failure 2"));
  scene.now = scene.fleet.next_deadline();
  EXPECT_THAT(scene.reconcile(), ElementsAre("clean up slot 0"));
  scene.fleet.on_cleaned_up(SlotId{0}, true);
  EXPECT_THAT(scene.reconcile(), ElementsAre("start worker 2 in slot 0 of generation 1"));
}

TEST(FleetCleanUp, IsOneForAGroup) {
  Fleet::Policy policy = of_group();
  policy.clean_up = Fleet::CleanUp::BeforeRestart;
  Scene scene(policy, 2);
  scene.all_ready();
  scene.fleet.request_renewal(SlotId{0});
  scene.reconcile();
  scene.exits(1);
  EXPECT_THAT(scene.exits(2), ElementsAre("clean up slot 0"));
  scene.fleet.on_cleaned_up(SlotId{0}, true);
  EXPECT_THAT(scene.reconcile(), ElementsAre("start worker 3 in slot 0 of generation 1"));
  EXPECT_THAT(scene.ready(3), ElementsAre("start worker 4 in slot 1 of generation 1"));
}

// Random histories. Whoever looks on keeps books of his own: who lives in which slot, who serves, what was cleaned up.
class GroupHistory {
 public:
  GroupHistory(std::uint64_t seed, Fleet::Policy policy)
      : dice_(seed), policy_(policy), fleet_(policy, 4, Generation{1}, seed) {}

  void play(int steps) {
    hear();
    for (int i = 0; i < steps && !testing::Test::HasFailure(); i++) step(i < steps / 2);
  }
  // Nobody dies any more, but one may be killed yet for taking too long to start.
  void settle() {
    for (int i = 0; i < 20'000 && !all_serve() && !testing::Test::HasFailure(); i++) step(false);
  }
  [[nodiscard]] bool all_serve() const {
    for (std::uint32_t slot = 0; slot < 4; slot++) {
      if (!serves(slot)) return false;
    }
    return true;
  }

 private:
  struct Life {
    std::uint32_t slot;
    bool serves = false;
    bool told_to_go = false;
  };
  bool one_in(unsigned n) { return dice_() % n == 0; }
  [[nodiscard]] bool group() const { return policy_.restart_group == Fleet::RestartGroup::All; }
  [[nodiscard]] bool serves(std::uint32_t slot) const {
    for (const auto& [id, life] : lives_) {
      if (life.slot == slot && life.serves && !life.told_to_go) return true;
    }
    return false;
  }

  void step(bool wild) {
    const TimePoint next = fleet_.next_deadline();
    const bool wait = next != kNever && (lives_.empty() ? cleaning_.empty() : one_in(4));
    if (wait) {
      now_ = std::max(now_, next);
    } else {
      now_ += 10ms;
      happen(wild);
    }
    hear();
  }

  void happen(bool wild) {
    if (!cleaning_.empty()) {
      const std::uint32_t slot = *cleaning_.begin();
      cleaning_.erase(slot);
      const bool done = !wild || !one_in(4);
      if (done) clean_.insert(slot);
      return fleet_.on_cleaned_up(SlotId{slot}, done);
    }
    if (lives_.empty()) return;
    auto it = lives_.begin();
    std::advance(it, static_cast<long>(dice_() % lives_.size()));
    const WorkerId id = it->first;
    Life& life = it->second;
    if (life.told_to_go || (wild && one_in(3))) {
      end_of_one_ = end_of_one_ || !life.told_to_go;
      clean_.erase(life.slot);
      used_.insert(life.slot);
      lives_.erase(id);
      return fleet_.on_exited(id, Fleet::WorkerEnd::Ended, now_);
    }
    if (!life.serves) {
      life.serves = true;
      return fleet_.on_ready(id, now_);
    }
    if (wild && one_in(10)) fleet_.request_renewal(SlotId{life.slot});
  }

  void hear() {
    for (const Fleet::Action& action : fleet_.reconcile(now_)) {
      std::visit([this](const auto& a) { on(a); }, action);
    }
    ASSERT_THAT(texts_of(fleet_.reconcile(now_)), IsEmpty()) << "asked again at the same time";
    ASSERT_GT(fleet_.next_deadline(), now_);
    if (group() && end_of_one_) {
      for (const auto& [id, life] : lives_) ASSERT_TRUE(life.told_to_go) << "one of the group has died";
    }
  }

  void on(const Fleet::StartWorker& a) {
    ASSERT_EQ(a.role == Fleet::Role::Successor && group(), false) << "a group has no successors";
    if (a.role == Fleet::Role::Incumbent) {
      for (std::uint32_t below = 0; below < a.slot.value; below++) ASSERT_TRUE(serves(below)) << "not its turn";
      if (policy_.clean_up == Fleet::CleanUp::BeforeRestart && used_.contains(a.slot.value)) {
        const bool cleaned = group() ? a.slot.value != 0 || clean_.contains(0) : clean_.contains(a.slot.value);
        ASSERT_TRUE(cleaned) << "started in dirt";
      }
    }
    if (group() && a.slot.value == 0) {
      ASSERT_TRUE(lives_.empty()) << "somebody of the old group still lives";
      end_of_one_ = false;
    }
    lives_[a.worker] = Life{a.slot.value};
  }
  void on(const Fleet::CleanUpSlot& a) {
    ASSERT_TRUE(cleaning_.insert(a.slot.value).second) << "asked twice";
    ASSERT_TRUE(!group() || lives_.empty()) << "cleaned up under somebody's feet";
  }
  void on(const Fleet::DrainWorker& a) { lives_.at(a.worker).told_to_go = true; }
  void on(const Fleet::SignalWorker& a) {
    if (lives_.contains(a.worker)) lives_.at(a.worker).told_to_go = true;
  }
  template <class Other>
  void on(const Other&) {}

  std::mt19937_64 dice_;
  Fleet::Policy policy_;
  Fleet fleet_;
  TimePoint now_ = kStart;
  std::map<WorkerId, Life> lives_;
  std::set<std::uint32_t> cleaning_;
  std::set<std::uint32_t> clean_;
  std::set<std::uint32_t> used_;
  bool end_of_one_ = false;
};

TEST(FleetGroupHistory, KeepsItsRulesAndComesBack) {
  const std::uint64_t seed = random_seed();
  for (std::uint64_t i = 0; i < 300 && !HasFailure(); i++) {
    Fleet::Policy policy = i % 3 == 0 ? in_order() : of_group();
    if (i % 2 == 0) policy.clean_up = Fleet::CleanUp::BeforeRestart;
    policy.start_limit.failures = 0;
    SCOPED_TRACE("history " + std::to_string(i));
    GroupHistory history(seed + i, policy);
    history.play(2000);
    history.settle();
    EXPECT_TRUE(history.all_serve());
  }
}

}  // namespace
}  // namespace holdfast
