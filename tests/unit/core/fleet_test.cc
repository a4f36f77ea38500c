#include "core/fleet.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "unit/core/fleet_text.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;
using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using WorkerEnd = Fleet::WorkerEnd;
using Stop = Fleet::Stop;

// Round numbers, no jitter and no backoff: a test says what it wants otherwise.
Fleet::Policy plain_policy() {
  Fleet::Policy policy;
  policy.start_timeout = 10s;
  policy.heartbeat_timeout = Duration::zero();
  policy.drain_timeout = 20s;
  policy.kill_timeout = 5s;
  policy.stop_timeout = 60s;
  policy.hold_timeout = 3s;
  policy.stable_time = 100s;
  policy.backoff = {.first = 0s, .step = 0s, .factor = 2, .limit = 30s, .jitter = 0};
  policy.start_limit = {.failures = 0, .interval = 60s, .rest = 60s};
  return policy;
}

// A fleet and the time it is told. Workers are named by number, in the order of their start, from 1.
class FleetTest : public testing::Test {
 protected:
  FleetTest() = default;

  // Another fleet, from the beginning.
  void begin(const Fleet::Policy& policy, unsigned size, std::uint64_t seed = 1) {
    fleet = Fleet(policy, size, Generation{1}, seed);
  }

  // The same, with a worker serving in each slot: worker 1 in slot 0, worker 2 in slot 1 ...
  void begin_serving(const Fleet::Policy& policy, unsigned size) {
    begin(policy, size);
    (void)reconcile();
    for (unsigned worker = 1; worker <= size; worker++) ready(worker);
    EXPECT_THAT(reconcile(), IsEmpty());
  }

  void after(Duration duration) { now += duration; }
  void ready(unsigned worker) { fleet.on_ready(WorkerId{worker}, now); }
  void beat(unsigned worker) { fleet.on_heartbeat(WorkerId{worker}, now); }
  void misbehaved(unsigned worker) { fleet.on_misbehaved(WorkerId{worker}); }
  void stalled(unsigned worker, bool is) { fleet.on_stalled(WorkerId{worker}, is); }
  void healthy(unsigned worker, bool is) { fleet.on_health(WorkerId{worker}, is); }
  void exited(unsigned worker, WorkerEnd end = WorkerEnd::Ended) { fleet.on_exited(WorkerId{worker}, end, now); }
  void renew(unsigned slot) { fleet.request_renewal(SlotId{slot}); }
  std::vector<std::string> reconcile() { return texts_of(fleet.reconcile(now)); }

  // From now to the fleet's next deadline; kNever - now if it has none.
  [[nodiscard]] Duration to_deadline() const { return fleet.next_deadline() - now; }
  [[nodiscard]] bool waits_for_facts_only() const { return fleet.next_deadline() == kNever; }
  [[nodiscard]] bool serves(unsigned slot) const {
    const Fleet::Slot& asked = fleet.slots().at(slot);
    return asked.incumbent && std::holds_alternative<Fleet::Serving>(asked.incumbent->phase);
  }

  TimePoint now{1000h};
  Fleet fleet{plain_policy(), 1, Generation{1}, 1};
};

// Start

TEST_F(FleetTest, StartsAWorkerInEachSlot) {
  begin(plain_policy(), 2);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 1 in slot 0 of generation 1",  //
                                       "start worker 2 in slot 1 of generation 1"));
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_FALSE(serves(0));
  ready(1);
  ready(2);
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_TRUE(serves(0) && serves(1));
  EXPECT_TRUE(waits_for_facts_only());
}

TEST_F(FleetTest, AWorkerThatIsNotReadyInTimeIsTerminatedAndThenKilled) {
  (void)reconcile();
  after(3s);
  EXPECT_THAT(reconcile(), ElementsAre("lend slot 0"));
  EXPECT_EQ(to_deadline(), 7s);
  after(7s - 1ns);
  EXPECT_THAT(reconcile(), IsEmpty());
  after(1ns);
  EXPECT_THAT(reconcile(), ElementsAre("TERM to worker 1: not ready"));
  EXPECT_EQ(to_deadline(), 5s);
  after(5s);
  EXPECT_THAT(reconcile(), ElementsAre("KILL to worker 1: overdue"));
  EXPECT_TRUE(waits_for_facts_only());
  exited(1);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 2 in slot 0 of generation 1"));
}

TEST_F(FleetTest, AWorkerThatIsReadyAfterItsDeadlineDoesNotServe) {
  (void)reconcile();
  after(10s);
  (void)reconcile();
  ready(1);
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_FALSE(serves(0));
}

TEST_F(FleetTest, AStartThatFailsIsAFailureLikeAnExit) {
  Fleet::Policy policy = plain_policy();
  policy.backoff.first = 2s;
  begin(policy, 1);
  (void)reconcile();
  fleet.on_start_failed(WorkerId{1}, WorkerEnd::Ended, now);
  EXPECT_THAT(reconcile(), ElementsAre("delay slot 0 after failure 1"));
  EXPECT_EQ(to_deadline(), 2s);
}

TEST_F(FleetTest, IgnoresWhatIsSaidOfWorkersItDoesNotKnow) {
  begin_serving(plain_policy(), 1);
  exited(1);
  (void)reconcile();
  ready(1);
  beat(1);
  misbehaved(1);
  exited(1);
  exited(77);
  renew(5);
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_FALSE(serves(0));
}

// Crash

TEST_F(FleetTest, ACrashIsAnsweredByAStartInTheSameSlot) {
  begin_serving(plain_policy(), 2);
  exited(1);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 0 of generation 1"));
  EXPECT_TRUE(serves(1));
}

TEST_F(FleetTest, TheDelayGrowsWithEachFailureInARow) {
  Fleet::Policy policy = plain_policy();
  policy.backoff.step = 1s;
  begin(policy, 1);
  (void)reconcile();
  exited(1);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 2 in slot 0 of generation 1"));
  exited(2);
  EXPECT_THAT(reconcile(), ElementsAre("delay slot 0 after failure 2"));
  EXPECT_EQ(to_deadline(), 1s);
  after(1s - 1ns);
  EXPECT_THAT(reconcile(), IsEmpty());
  after(1ns);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 0 of generation 1"));
  exited(3);
  EXPECT_THAT(reconcile(), ElementsAre("delay slot 0 after failure 3"));
  EXPECT_EQ(fleet.slots()[0].failures, 3U);
  after(2s);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 4 in slot 0 of generation 1", "lend slot 0"));
}

TEST_F(FleetTest, AWorkerThatServedLongEnoughHasMadeGoodAllEarlierFailures) {
  Fleet::Policy policy = plain_policy();
  policy.backoff.step = 1s;
  begin(policy, 1);
  (void)reconcile();
  exited(1);
  (void)reconcile();
  ready(2);
  (void)reconcile();
  after(policy.stable_time - 1ns);
  exited(2);
  EXPECT_THAT(reconcile(), ElementsAre("delay slot 0 after failure 2"));
  after(1s);
  (void)reconcile();
  ready(3);
  (void)reconcile();
  after(policy.stable_time);
  exited(3);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 4 in slot 0 of generation 1"));
  EXPECT_EQ(fleet.slots()[0].failures, 1U);
}

TEST_F(FleetTest, TimeSpentStartingMakesNothingGood) {
  Fleet::Policy policy = plain_policy();
  policy.backoff.step = 1s;
  policy.stable_time = 4s;
  policy.hold_timeout = 1h;
  begin(policy, 1);
  (void)reconcile();
  exited(1);
  (void)reconcile();
  after(9s);
  exited(2);
  EXPECT_THAT(reconcile(), ElementsAre("delay slot 0 after failure 2"));
}

TEST_F(FleetTest, DelaysDifferBetweenSlotsAndAreTheSameForTheSameSeed) {
  Fleet::Policy policy = plain_policy();
  policy.backoff = {.first = 10s, .step = 10s, .factor = 1, .limit = 10s, .jitter = 0.2};
  const auto delays = [&](std::uint64_t seed) {
    begin(policy, 2, seed);
    (void)reconcile();
    exited(1);
    exited(2);
    (void)reconcile();
    std::vector<TimePoint> until;
    for (const Fleet::Slot& slot : fleet.slots()) until.push_back(std::get<Fleet::Backoff>(slot.pause).until);
    return until;
  };
  EXPECT_EQ(delays(7), delays(7));
  EXPECT_NE(delays(7), delays(8));
  EXPECT_NE(delays(7)[0], delays(7)[1]);
}

// Start limit

Fleet::Policy policy_with_start_limit() {
  Fleet::Policy policy = plain_policy();
  policy.start_limit = {.failures = 2, .interval = 60s, .rest = 50s};
  return policy;
}

TEST_F(FleetTest, ASlotThatReachesTheStartLimitRestsAndLendsItsBucketsAtOnce) {
  begin_serving(policy_with_start_limit(), 2);
  exited(1);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 0 of generation 1"));
  exited(3);
  EXPECT_THAT(reconcile(), ElementsAre("rest slot 0", "lend slot 0"));
  EXPECT_EQ(to_deadline(), 50s);
  EXPECT_TRUE(serves(1));
}

TEST_F(FleetTest, WorkersThatNeverBecomeReadyReachTheStartLimitHoweverLongTheyTake) {
  Fleet::Policy policy = plain_policy();
  policy.start_limit = {.failures = 2, .interval = 1s, .rest = 60s};
  begin(policy, 1);
  (void)reconcile();
  after(policy.start_timeout);
  EXPECT_THAT(reconcile(), ElementsAre("TERM to worker 1: not ready", "lend slot 0"));
  exited(1);
  (void)reconcile();
  after(policy.start_timeout);
  (void)reconcile();
  exited(2);
  EXPECT_THAT(reconcile(), ElementsAre("rest slot 0", "give up"));
}

TEST_F(FleetTest, FailuresBeforeAStableTimeDoNotCountForTheStartLimit) {
  Fleet::Policy policy = policy_with_start_limit();
  policy.stable_time = 4s;
  begin_serving(policy, 1);
  exited(1);
  (void)reconcile();
  ready(2);
  (void)reconcile();
  after(4s);
  exited(2);  // the second within the interval
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 0 of generation 1"));
  exited(3);
  EXPECT_THAT(reconcile(), ElementsAre("rest slot 0", "lend slot 0"));
}

TEST_F(FleetTest, AProbeThatFailsRestsAgain) {
  begin_serving(policy_with_start_limit(), 1);
  for (const unsigned worker : {1U, 2U}) {
    exited(worker);
    (void)reconcile();
  }
  after(50s);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 0 of generation 1"));
  after(30s);  // the failures before are older than the interval now
  (void)reconcile();
  exited(3);
  EXPECT_THAT(reconcile(), ElementsAre("rest slot 0"));
  EXPECT_EQ(to_deadline(), 50s);
}

TEST_F(FleetTest, AProbeThatIsStableEndsTheProbation) {
  begin_serving(policy_with_start_limit(), 1);
  for (const unsigned worker : {1U, 2U}) {
    exited(worker);
    (void)reconcile();
  }
  after(50s);
  (void)reconcile();
  ready(3);
  EXPECT_THAT(reconcile(), ElementsAre("return slot 0"));
  after(100s);
  exited(3);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 4 in slot 0 of generation 1"));
}

TEST_F(FleetTest, AnotherGenerationStartsARestingSlotAtOnceWithAClearRecord) {
  begin_serving(policy_with_start_limit(), 1);
  for (const unsigned worker : {1U, 2U}) {
    exited(worker);
    (void)reconcile();
  }
  fleet.set_generation(Generation{2});
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 0 of generation 2"));
  exited(3);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 4 in slot 0 of generation 2"));
}

TEST_F(FleetTest, ARequestStartsARestingSlotAtOnceAsAProbe) {
  begin_serving(policy_with_start_limit(), 1);
  for (const unsigned worker : {1U, 2U}) {
    exited(worker);
    (void)reconcile();
  }
  renew(0);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 0 of generation 1"));
  exited(3);
  EXPECT_THAT(reconcile(), ElementsAre("rest slot 0"));
}

TEST_F(FleetTest, ARequestStartsADelayedSlotAtOnceAndForgetsItsFailures) {
  Fleet::Policy policy = plain_policy();
  policy.backoff = {.first = 0s, .step = 10s, .factor = 2, .limit = 30s, .jitter = 0};
  begin(policy, 1);
  (void)reconcile();
  exited(1);
  (void)reconcile();
  exited(2);
  EXPECT_THAT(reconcile(), ElementsAre("delay slot 0 after failure 2"));
  renew(0);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 0 of generation 1"));
  exited(3);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 4 in slot 0 of generation 1"));
}

TEST_F(FleetTest, AnExitThatForbidsRestartingStopsThatSlotOnly) {
  begin_serving(plain_policy(), 2);
  exited(1, WorkerEnd::DoNotRestart);
  EXPECT_THAT(reconcile(), ElementsAre("stop slot 0", "lend slot 0"));
  EXPECT_TRUE(waits_for_facts_only());
  after(1000h);
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_TRUE(serves(1));
}

TEST_F(FleetTest, AStoppedSlotStartsAgainForARequestOrAnotherGeneration) {
  begin_serving(plain_policy(), 2);
  exited(1, WorkerEnd::DoNotRestart);
  (void)reconcile();
  renew(0);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 0 of generation 1"));
  exited(3, WorkerEnd::DoNotRestart);
  EXPECT_THAT(reconcile(), ElementsAre("stop slot 0"));
  fleet.set_generation(Generation{2});
  EXPECT_THAT(reconcile(), Contains("start worker 4 in slot 0 of generation 2"));
}

TEST_F(FleetTest, AStoppedSlotThatWasDrainedStartsWhenThatIsTakenBack) {
  begin_serving(plain_policy(), 2);
  exited(1, WorkerEnd::DoNotRestart);
  (void)reconcile();
  fleet.set_drained(SlotId{0}, true);
  EXPECT_THAT(reconcile(), IsEmpty());
  fleet.set_drained(SlotId{0}, false);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 0 of generation 1"));
}

TEST_F(FleetTest, GivesUpWhenEverySlotRestsAndNoWorkerWasEverReady) {
  begin(policy_with_start_limit(), 2);
  (void)reconcile();
  for (const unsigned worker : {1U, 2U, 3U}) {
    exited(worker);
    EXPECT_THAT(reconcile(), Not(Contains("give up")));
  }
  exited(4);
  EXPECT_THAT(reconcile(), ElementsAre("rest slot 1", "lend slot 1", "give up"));
  after(1000h);
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_TRUE(waits_for_facts_only());
}

TEST_F(FleetTest, GoesOnProbingWhenAnyWorkerWasEverReady) {
  begin_serving(policy_with_start_limit(), 1);
  exited(1);
  (void)reconcile();
  exited(2);
  EXPECT_THAT(reconcile(), ElementsAre("rest slot 0", "lend slot 0"));
  after(50s);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 0 of generation 1"));
}

TEST_F(FleetTest, GivesUpWhenEverySlotIsStoppedEvenIfWorkersWereReady) {
  begin_serving(plain_policy(), 2);
  exited(1, WorkerEnd::DoNotRestart);
  EXPECT_THAT(reconcile(), Not(Contains("give up")));
  exited(2, WorkerEnd::DoNotRestart);
  EXPECT_THAT(reconcile(), ElementsAre("stop slot 1", "lend slot 1", "give up"));
}

TEST_F(FleetTest, AFleetOfNoSlotsWaitsWithoutGivingUp) {
  begin(plain_policy(), 0);
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_TRUE(waits_for_facts_only());
}

// Heartbeat and misbehaviour

Fleet::Policy policy_with_heartbeat() {
  Fleet::Policy policy = plain_policy();
  policy.heartbeat_timeout = 8s;
  return policy;
}

TEST_F(FleetTest, AWorkerWithoutAHeartbeatIsAbortedAndThenKilled) {
  begin_serving(policy_with_heartbeat(), 1);
  EXPECT_EQ(to_deadline(), 8s);
  after(8s - 1ns);
  EXPECT_THAT(reconcile(), IsEmpty());
  after(1ns);
  EXPECT_THAT(reconcile(), ElementsAre("ABRT to worker 1: hung"));
  after(3s);
  EXPECT_THAT(reconcile(), ElementsAre("lend slot 0"));
  after(2s);
  EXPECT_THAT(reconcile(), ElementsAre("KILL to worker 1: overdue"));
}

TEST_F(FleetTest, AHeartbeatMovesTheDeadlineAndAnOlderOneDoesNotMoveItBack) {
  begin_serving(policy_with_heartbeat(), 1);
  after(6s);
  beat(1);
  EXPECT_EQ(to_deadline(), 8s);
  fleet.on_heartbeat(WorkerId{1}, now - 5s);
  EXPECT_EQ(to_deadline(), 8s);
  after(8s - 1ns);
  EXPECT_THAT(reconcile(), IsEmpty());
}

TEST_F(FleetTest, AHeartbeatOfAnAbortedWorkerChangesNothing) {
  begin_serving(policy_with_heartbeat(), 1);
  after(8s);
  (void)reconcile();
  beat(1);
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_FALSE(serves(0));
}

TEST_F(FleetTest, AWorkerThatHangsWhileItDrainsIsAbortedBeforeItsDrainIsOver) {
  begin_serving(policy_with_heartbeat(), 1);
  after(2s);
  fleet.set_stop(Stop::Graceful);
  EXPECT_THAT(reconcile(), ElementsAre("drain worker 1"));
  EXPECT_EQ(to_deadline(), 6s) << "its last sign of life was before the drain";
  after(5s);
  beat(1);
  EXPECT_EQ(to_deadline(), 8s) << "a draining worker beats on";
  after(8s - 1ns);
  EXPECT_THAT(reconcile(), IsEmpty());
  after(1ns);
  EXPECT_THAT(reconcile(), ElementsAre("ABRT to worker 1: hung"));
  after(5s);
  EXPECT_THAT(reconcile(), ElementsAre("KILL to worker 1: overdue"));
}

TEST_F(FleetTest, AReplacedWorkerThatHangsWhileItDrainsIsAborted) {
  begin_serving(policy_with_heartbeat(), 1);
  renew(0);
  (void)reconcile();
  after(3s);
  beat(1);
  ready(2);
  EXPECT_THAT(reconcile(), ElementsAre("promote worker 2 in slot 0 after worker 1", "drain worker 1"));
  after(8s);
  beat(2);
  EXPECT_THAT(reconcile(), ElementsAre("ABRT to worker 1: hung"));
  EXPECT_TRUE(serves(0));
}

TEST_F(FleetTest, AWorkerThatBeatsMayDrainForItsWholeTime) {
  begin_serving(policy_with_heartbeat(), 1);
  fleet.set_stop(Stop::Graceful);
  (void)reconcile();
  for (int i = 0; i < 19; i++) {
    after(1s);
    beat(1);
    EXPECT_THAT(reconcile(), IsEmpty());
  }
  after(1s);
  EXPECT_THAT(reconcile(), ElementsAre("TERM to worker 1: drained"));
}

TEST_F(FleetTest, WithoutAHeartbeatTimeoutADrainEndsAtItsDeadlineOnly) {
  begin_serving(plain_policy(), 1);
  fleet.set_stop(Stop::Graceful);
  (void)reconcile();
  EXPECT_EQ(to_deadline(), 20s);
}

TEST_F(FleetTest, AWorkerThatHangsAtTheEndOfItsDrainIsAbortedForItsCore) {
  Fleet::Policy policy = policy_with_heartbeat();
  policy.drain_timeout = policy.heartbeat_timeout;
  begin_serving(policy, 1);
  fleet.set_stop(Stop::Graceful);
  (void)reconcile();
  after(8s);
  EXPECT_THAT(reconcile(), ElementsAre("ABRT to worker 1: hung"));
}

TEST_F(FleetTest, AShorterHeartbeatTimeoutHoldsForWorkersThatServeAlready) {
  begin_serving(policy_with_heartbeat(), 1);
  after(4s);
  Fleet::Policy policy = policy_with_heartbeat();
  policy.heartbeat_timeout = 5s;
  fleet.set_policy(policy);
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_EQ(to_deadline(), 1s);
}

TEST_F(FleetTest, AWorkerThatMisbehavesIsKilledOnce) {
  begin_serving(plain_policy(), 1);
  misbehaved(1);
  EXPECT_THAT(reconcile(), ElementsAre("KILL to worker 1: misbehaved"));
  misbehaved(1);
  after(1s);
  EXPECT_THAT(reconcile(), IsEmpty());
  exited(1);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 2 in slot 0 of generation 1"));
}

TEST_F(FleetTest, AKillTimeoutOfZeroKillsAtOnce) {
  Fleet::Policy policy = policy_with_heartbeat();
  policy.kill_timeout = Duration::zero();
  begin_serving(policy, 1);
  after(8s);
  EXPECT_THAT(reconcile(), ElementsAre("ABRT to worker 1: hung", "KILL to worker 1: overdue"));
  EXPECT_THAT(reconcile(), IsEmpty());
}

// Buckets

TEST_F(FleetTest, BucketsAreLentWhenTheSlotWasUnservedForTheHoldTimeAndReturnWithItsWorker) {
  begin_serving(plain_policy(), 1);
  exited(1);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 2 in slot 0 of generation 1"));
  EXPECT_EQ(to_deadline(), 3s);
  after(3s - 1ns);
  EXPECT_THAT(reconcile(), IsEmpty());
  after(1ns);
  EXPECT_THAT(reconcile(), ElementsAre("lend slot 0"));
  ready(2);
  EXPECT_THAT(reconcile(), ElementsAre("return slot 0"));
}

TEST_F(FleetTest, ADrainedSlotLendsItsBucketsAndHasNoWorkerUntilThatIsTakenBack) {
  begin_serving(plain_policy(), 2);
  fleet.set_drained(SlotId{0}, true);
  EXPECT_THAT(reconcile(), ElementsAre("lend slot 0", testing::StartsWith("drain worker 1")));
  exited(1);
  EXPECT_THAT(reconcile(), IsEmpty());
  after(1h);
  EXPECT_THAT(reconcile(), IsEmpty()) << "nobody comes back by himself";
  fleet.set_drained(SlotId{0}, false);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 0 of generation 1"));
  ready(3);
  EXPECT_THAT(reconcile(), ElementsAre("return slot 0"));
}

TEST_F(FleetTest, ASlotWhoseWorkerHasStoppedToAcceptLendsItsBucketsAtOnceAndGetsThemBackWhenItAccepts) {
  begin_serving(plain_policy(), 2);
  stalled(1, true);
  EXPECT_THAT(reconcile(), ElementsAre("lend slot 0"));
  after(60s);
  EXPECT_THAT(reconcile(), IsEmpty()) << "it lives: nobody replaces it";
  stalled(1, false);
  EXPECT_THAT(reconcile(), ElementsAre("return slot 0"));
}

TEST_F(FleetTest, TheStallOfAWorkerEndsWithIt) {
  begin_serving(plain_policy(), 1);
  stalled(1, true);
  EXPECT_THAT(reconcile(), ElementsAre("lend slot 0"));
  exited(1);
  (void)reconcile();
  ready(2);
  EXPECT_THAT(reconcile(), ElementsAre("return slot 0"));
}

TEST_F(FleetTest, NewClientsOfAnUnhealthyWorkerGoElsewhereUntilItIsHealthy) {
  begin_serving(plain_policy(), 2);
  healthy(1, false);
  EXPECT_THAT(reconcile(), ElementsAre("lend slot 0"));
  EXPECT_TRUE(fleet.is_shunned(SlotId{0}));
  after(1h);
  EXPECT_THAT(reconcile(), IsEmpty()) << "it serves those that it has";
  healthy(1, true);
  EXPECT_THAT(reconcile(), ElementsAre("return slot 0"));
}

TEST_F(FleetTest, WhenEveryWorkerIsUnhealthyEachServesItsOwnClients) {
  begin_serving(plain_policy(), 3);
  healthy(1, false);
  healthy(2, false);
  EXPECT_THAT(reconcile(), ElementsAre("lend slot 0", "lend slot 1"));
  healthy(3, false);
  EXPECT_THAT(reconcile(), ElementsAre("return slot 0", "return slot 1"));
  healthy(2, true);
  EXPECT_THAT(reconcile(), ElementsAre("lend slot 0", "lend slot 2"));
}

TEST_F(FleetTest, AnUnhealthySuccessorIsEndedAndTheIncumbentServesOn) {
  Fleet::Policy policy = plain_policy();
  policy.canary = 5s;
  begin_serving(policy, 1);
  renew(0);
  (void)reconcile();
  ready(2);
  EXPECT_THAT(reconcile(), IsEmpty());
  healthy(2, false);
  EXPECT_THAT(reconcile(), ElementsAre("TERM to worker 2: unhealthy"));
  after(5s);
  (void)reconcile();
  exited(2);
  EXPECT_THAT(reconcile(), ElementsAre("abandon renewal of slot 0"));
  EXPECT_EQ(fleet.slots()[0].incumbent->id, WorkerId{1});
}

TEST_F(FleetTest, BucketsStayWhenTheSlotIsServedAgainInTime) {
  begin_serving(plain_policy(), 1);
  exited(1);
  (void)reconcile();
  after(3s - 1ns);
  ready(2);
  EXPECT_THAT(reconcile(), IsEmpty());
  after(1ns);
  EXPECT_THAT(reconcile(), IsEmpty());
  // The next outage has the whole hold time again.
  exited(2);
  (void)reconcile();
  EXPECT_EQ(to_deadline(), 3s);
}

TEST_F(FleetTest, AHungIncumbentLeavesItsSlotUnserved) {
  begin_serving(policy_with_heartbeat(), 1);
  after(8s);
  (void)reconcile();
  EXPECT_EQ(to_deadline(), 3s);
  after(3s);
  EXPECT_THAT(reconcile(), ElementsAre("lend slot 0"));
}

// Renewal

TEST_F(FleetTest, ASuccessorStartsBesideTheIncumbentAndTakesTheSlotWhenReady) {
  begin_serving(plain_policy(), 1);
  renew(0);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 2 in slot 0 as successor of generation 1"));
  EXPECT_TRUE(serves(0));
  EXPECT_TRUE(fleet.renewing());
  after(2s);
  ready(2);
  EXPECT_THAT(reconcile(), ElementsAre("promote worker 2 in slot 0 after worker 1", "drain worker 1"));
  EXPECT_TRUE(serves(0));
  EXPECT_FALSE(fleet.renewing());
  EXPECT_EQ(to_deadline(), 20s);
  after(20s);
  EXPECT_THAT(reconcile(), ElementsAre("TERM to worker 1: drained"));
  after(5s);
  EXPECT_THAT(reconcile(), ElementsAre("KILL to worker 1: overdue"));
  exited(1);
  EXPECT_THAT(reconcile(), IsEmpty());
}

TEST_F(FleetTest, ASecondRequestDuringARenewalAsksForNothingMore) {
  begin_serving(plain_policy(), 1);
  renew(0);
  (void)reconcile();
  renew(0);
  EXPECT_THAT(reconcile(), IsEmpty());
  ready(2);
  EXPECT_THAT(reconcile(), ElementsAre("promote worker 2 in slot 0 after worker 1", "drain worker 1"));
}

TEST_F(FleetTest, AGenerationRollsThroughTheSlotsAsFarAsTheSurgeAllows) {
  begin_serving(plain_policy(), 3);
  fleet.set_generation(Generation{2});
  EXPECT_THAT(reconcile(), ElementsAre("start worker 4 in slot 0 as successor of generation 2"));
  ready(4);
  // In the same answer, or the next slot would wait for somebody to report anything.
  EXPECT_THAT(reconcile(), ElementsAre("promote worker 4 in slot 0 after worker 1", "drain worker 1",
                                       "start worker 5 in slot 1 as successor of generation 2"));
  ready(5);
  EXPECT_THAT(reconcile(), Contains("start worker 6 in slot 2 as successor of generation 2"));
  EXPECT_TRUE(fleet.renewing());
  ready(6);
  (void)reconcile();
  EXPECT_FALSE(fleet.renewing());
}

TEST_F(FleetTest, ALowerSlotGetsTheBudgetThatAHigherOneHasFreed) {
  begin_serving(plain_policy(), 2);
  renew(1);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 1 as successor of generation 1"));
  renew(0);
  EXPECT_THAT(reconcile(), IsEmpty());
  ready(3);
  EXPECT_THAT(reconcile(), ElementsAre("promote worker 3 in slot 1 after worker 2", "drain worker 2",
                                       "start worker 4 in slot 0 as successor of generation 1"));
}

TEST_F(FleetTest, AsManySlotsAsTheSurgeSaysAreRenewedAtATime) {
  Fleet::Policy policy = plain_policy();
  policy.surge = 2;
  begin_serving(policy, 3);
  fleet.set_generation(Generation{2});
  EXPECT_THAT(reconcile(), ElementsAre("start worker 4 in slot 0 as successor of generation 2",
                                       "start worker 5 in slot 1 as successor of generation 2"));
}

TEST_F(FleetTest, ASuccessorIsWatchedForTheCanaryTimeBeforeItTakesTheSlot) {
  Fleet::Policy policy = plain_policy();
  policy.canary = 4s;
  begin_serving(policy, 1);
  renew(0);
  (void)reconcile();
  after(1s);
  ready(2);
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_EQ(to_deadline(), 4s);
  after(4s - 1ns);
  EXPECT_THAT(reconcile(), IsEmpty());
  after(1ns);
  EXPECT_THAT(reconcile(), ElementsAre("promote worker 2 in slot 0 after worker 1", "drain worker 1"));
}

TEST_F(FleetTest, ASuccessorThatHungWhileNobodyLookedDoesNotTakeTheSlot) {
  Fleet::Policy policy = policy_with_heartbeat();
  policy.canary = 4s;
  begin_serving(policy, 1);
  renew(0);
  (void)reconcile();
  ready(2);
  (void)reconcile();
  after(9s);
  beat(1);
  EXPECT_THAT(reconcile(), ElementsAre("ABRT to worker 2: hung"));
  EXPECT_TRUE(serves(0));
}

TEST_F(FleetTest, ASuccessorThatMisbehavesDoesNotTakeTheSlot) {
  begin_serving(plain_policy(), 1);
  renew(0);
  (void)reconcile();
  ready(2);
  misbehaved(2);
  EXPECT_THAT(reconcile(), ElementsAre("KILL to worker 2: misbehaved"));
  exited(2);
  EXPECT_THAT(reconcile(), ElementsAre("abandon renewal of slot 0"));
}

TEST_F(FleetTest, ARequestedRenewalThatFailsIsAbandonedAndNotTriedAgain) {
  begin_serving(plain_policy(), 1);
  renew(0);
  (void)reconcile();
  exited(2);
  EXPECT_THAT(reconcile(), ElementsAre("abandon renewal of slot 0"));
  EXPECT_TRUE(serves(0));
  EXPECT_FALSE(fleet.renewing());
  after(1000h);
  EXPECT_THAT(reconcile(), IsEmpty());
}

TEST_F(FleetTest, AGenerationThatFailsInASlotIsNotTriedAgainThere) {
  begin_serving(plain_policy(), 2);
  fleet.set_generation(Generation{2});
  (void)reconcile();
  exited(3);
  EXPECT_THAT(reconcile(), ElementsAre("abandon renewal of slot 0",  //
                                       "start worker 4 in slot 1 as successor of generation 2"));
  exited(4);
  EXPECT_THAT(reconcile(), ElementsAre("abandon renewal of slot 1"));
  EXPECT_FALSE(fleet.renewing());
  after(1000h);
  EXPECT_THAT(reconcile(), IsEmpty());
}

TEST_F(FleetTest, AfterAFailedRenewalARequestOrAnotherGenerationTriesAgain) {
  begin_serving(plain_policy(), 1);
  fleet.set_generation(Generation{2});
  (void)reconcile();
  exited(2);
  EXPECT_THAT(reconcile(), ElementsAre("abandon renewal of slot 0"));
  renew(0);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 0 as successor of generation 2"));
  exited(3);
  EXPECT_THAT(reconcile(), ElementsAre("abandon renewal of slot 0"));
  fleet.set_generation(Generation{3});
  EXPECT_THAT(reconcile(), ElementsAre("start worker 4 in slot 0 as successor of generation 3"));
}

TEST_F(FleetTest, AGenerationWishedWhileASuccessorStartsComesAfterIt) {
  begin_serving(plain_policy(), 1);
  fleet.set_generation(Generation{2});
  (void)reconcile();
  fleet.set_generation(Generation{3});
  EXPECT_THAT(reconcile(), IsEmpty());
  ready(2);
  EXPECT_THAT(reconcile(), ElementsAre("promote worker 2 in slot 0 after worker 1", "drain worker 1",
                                       "start worker 3 in slot 0 as successor of generation 3"));
}

TEST_F(FleetTest, ASuccessorThatIsNotReadyInTimeIsEndedAndTheIncumbentServesOn) {
  begin_serving(plain_policy(), 1);
  renew(0);
  (void)reconcile();
  after(10s);
  EXPECT_THAT(reconcile(), ElementsAre("TERM to worker 2: not ready"));
  after(5s);
  EXPECT_THAT(reconcile(), ElementsAre("KILL to worker 2: overdue"));
  EXPECT_TRUE(serves(0));
}

TEST_F(FleetTest, AServingSuccessorTakesTheSlotOfADeadIncumbentBeforeItsCanaryTimeIsOver) {
  Fleet::Policy policy = plain_policy();
  policy.canary = 1h;
  begin_serving(policy, 1);
  renew(0);
  (void)reconcile();
  ready(2);
  (void)reconcile();
  exited(1);
  EXPECT_THAT(reconcile(), ElementsAre("promote worker 2 in slot 0"));
  EXPECT_TRUE(serves(0));
}

TEST_F(FleetTest, AStartingSuccessorTakesTheSlotOfADeadIncumbentAndNoThirdWorkerStarts) {
  Fleet::Policy policy = plain_policy();
  policy.backoff.first = 1s;
  begin_serving(policy, 1);
  renew(0);
  (void)reconcile();
  exited(1);
  // Nothing is delayed: there is a worker already.
  EXPECT_THAT(reconcile(), ElementsAre("promote worker 2 in slot 0"));
  EXPECT_EQ(to_deadline(), 3s);  // the buckets are held
  ready(2);
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_TRUE(serves(0));
}

TEST_F(FleetTest, AFailureThatASuccessorMadeGoodAtOnceStillCounts) {
  Fleet::Policy policy = plain_policy();
  policy.backoff.step = 1s;
  begin_serving(policy, 1);
  renew(0);
  (void)reconcile();
  exited(1);
  EXPECT_THAT(reconcile(), ElementsAre("promote worker 2 in slot 0"));
  exited(2);
  EXPECT_THAT(reconcile(), ElementsAre("delay slot 0 after failure 2"));
}

TEST_F(FleetTest, ASuccessorThatIsEndingDoesNotTakeTheSlotOfADeadIncumbent) {
  begin_serving(plain_policy(), 1);
  renew(0);
  (void)reconcile();
  after(10s);
  EXPECT_THAT(reconcile(), ElementsAre("TERM to worker 2: not ready"));
  exited(1);
  EXPECT_THAT(reconcile(), ElementsAre("abandon renewal of slot 0", "start worker 3 in slot 0 of generation 1"));
  ready(3);
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_TRUE(serves(0));
  after(5s);
  EXPECT_THAT(reconcile(), ElementsAre("KILL to worker 2: overdue"));
  exited(2);
  EXPECT_THAT(reconcile(), IsEmpty());
}

TEST_F(FleetTest, ASuccessorThatMisbehavedDoesNotTakeTheSlotOfADeadIncumbent) {
  begin_serving(plain_policy(), 1);
  renew(0);
  (void)reconcile();
  misbehaved(2);
  exited(1);
  EXPECT_THAT(reconcile(), ElementsAre("abandon renewal of slot 0", "KILL to worker 2: misbehaved",
                                       "start worker 3 in slot 0 of generation 1"));
}

TEST_F(FleetTest, ASuccessorReplacesAnIncumbentThatHungMeanwhile) {
  begin_serving(policy_with_heartbeat(), 1);
  renew(0);
  (void)reconcile();
  after(8s);
  EXPECT_THAT(reconcile(), ElementsAre("ABRT to worker 1: hung"));
  ready(2);
  EXPECT_THAT(reconcile(), ElementsAre("promote worker 2 in slot 0 after worker 1"));
  EXPECT_TRUE(serves(0));
}

TEST_F(FleetTest, ARenewalOfAWorkerThatStartsWaitsUntilItServes) {
  (void)reconcile();
  renew(0);
  EXPECT_THAT(reconcile(), IsEmpty());
  ready(1);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 2 in slot 0 as successor of generation 1"));
}

TEST_F(FleetTest, ACrashedWorkerOfAnOldGenerationIsReplacedByTheNewWithoutDelay) {
  Fleet::Policy policy = plain_policy();
  policy.backoff.first = 10s;
  begin_serving(policy, 2);
  fleet.set_generation(Generation{2});
  (void)reconcile();
  exited(2);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 4 in slot 1 of generation 2"));
}

// Size

TEST_F(FleetTest, AGreaterSizeAddsSlots) {
  begin_serving(plain_policy(), 1);
  fleet.set_size(3);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 2 in slot 1 of generation 1",  //
                                       "start worker 3 in slot 2 of generation 1"));
  EXPECT_TRUE(serves(0));
}

TEST_F(FleetTest, ALeavingSlotLendsItsBucketsBeforeItsWorkerDrains) {
  begin_serving(plain_policy(), 2);
  fleet.set_size(1);
  EXPECT_THAT(reconcile(), ElementsAre("lend slot 1", "drain worker 2"));
  EXPECT_EQ(to_deadline(), 20s);
  after(20s);
  EXPECT_THAT(reconcile(), ElementsAre("TERM to worker 2: drained"));
  exited(2);
  EXPECT_THAT(reconcile(), ElementsAre("remove slot 1"));
  EXPECT_EQ(fleet.slots().size(), 1U);
  EXPECT_TRUE(serves(0));
}

TEST_F(FleetTest, SlotsAreRemovedFromTheEndOnly) {
  begin_serving(plain_policy(), 3);
  fleet.set_size(1);
  (void)reconcile();
  exited(2);
  EXPECT_THAT(reconcile(), IsEmpty());
  exited(3);
  EXPECT_THAT(reconcile(), ElementsAre("remove slot 2", "remove slot 1"));
}

TEST_F(FleetTest, ALeavingSlotEndsTheWorkerThatStartsAndTheRenewalUnderWay) {
  begin_serving(plain_policy(), 2);
  renew(1);
  (void)reconcile();
  fleet.set_size(1);
  EXPECT_THAT(reconcile(), ElementsAre("lend slot 1", "drain worker 2", "TERM to worker 3: stopping"));
  exited(2);
  exited(3);
  EXPECT_THAT(reconcile(), ElementsAre("remove slot 1"));
}

TEST_F(FleetTest, ASlotThatIsWishedBackWaitsForItsWorkerToGoAndCountsNoFailure) {
  Fleet::Policy policy = plain_policy();
  policy.backoff.first = 10s;
  begin_serving(policy, 2);
  fleet.set_size(1);
  (void)reconcile();
  fleet.set_size(2);
  EXPECT_THAT(reconcile(), IsEmpty());
  exited(2);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 1 of generation 1"));
  EXPECT_EQ(fleet.slots()[1].failures, 0U);
  ready(3);
  EXPECT_THAT(reconcile(), ElementsAre("return slot 1"));
}

TEST_F(FleetTest, AnExitThatForbidsRestartingMeansNothingFromAWorkerThatWasToldToGo) {
  begin_serving(plain_policy(), 2);
  fleet.set_size(1);
  (void)reconcile();
  fleet.set_size(2);
  (void)reconcile();
  exited(2, WorkerEnd::DoNotRestart);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 1 of generation 1"));
}

TEST_F(FleetTest, ADismissedSuccessorDoesNotTakeTheSlotThatIsWishedBack) {
  Fleet::Policy policy = plain_policy();
  policy.canary = 1h;
  begin_serving(policy, 2);
  renew(1);
  (void)reconcile();
  ready(3);
  (void)reconcile();
  fleet.set_size(1);
  EXPECT_THAT(reconcile(), ElementsAre("lend slot 1", "drain worker 2", "drain worker 3"));
  fleet.set_size(2);
  exited(2);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 4 in slot 1 of generation 1"));
  exited(3);
  EXPECT_THAT(reconcile(), IsEmpty());
}

// Stop

TEST_F(FleetTest, AGracefulStopDrainsThoseThatServeAndEndsThoseThatStart) {
  begin(plain_policy(), 2);
  (void)reconcile();
  ready(1);
  (void)reconcile();
  fleet.set_stop(Stop::Graceful);
  EXPECT_THAT(reconcile(), ElementsAre("drain worker 1", "TERM to worker 2: stopping"));
  exited(2);
  EXPECT_THAT(reconcile(), IsEmpty());
  after(20s);
  EXPECT_THAT(reconcile(), ElementsAre("TERM to worker 1: drained"));
  exited(1);
  EXPECT_THAT(reconcile(), ElementsAre("finished"));
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_TRUE(waits_for_facts_only());
}

TEST_F(FleetTest, AGracefulStopEndsInItsTimeHoweverLongTheDrain) {
  Fleet::Policy policy = plain_policy();
  policy.drain_timeout = 10h;
  begin_serving(policy, 1);
  renew(0);
  (void)reconcile();
  ready(2);
  (void)reconcile();  // worker 1 drains, for ten hours
  after(1h);
  fleet.set_stop(Stop::Graceful);
  EXPECT_THAT(reconcile(), ElementsAre("drain worker 2"));
  EXPECT_EQ(to_deadline(), 55s);
  after(55s);
  EXPECT_THAT(reconcile(), ElementsAre("TERM to worker 2: drained", "TERM to worker 1: drained"));
  after(5s);
  EXPECT_THAT(reconcile(), ElementsAre("KILL to worker 2: overdue", "KILL to worker 1: overdue"));
}

TEST_F(FleetTest, TheTimeOfAStopRunsFromTheFirstWish) {
  Fleet::Policy policy = plain_policy();
  policy.drain_timeout = 10h;
  begin_serving(policy, 1);
  fleet.set_stop(Stop::Graceful);
  (void)reconcile();
  after(30s);
  fleet.set_stop(Stop::Graceful);
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_EQ(to_deadline(), 25s);
}

TEST_F(FleetTest, AnImmediateStopKillsEverybodyAndIsNotTakenBack) {
  begin_serving(plain_policy(), 2);
  renew(0);
  (void)reconcile();
  fleet.set_stop(Stop::Graceful);
  EXPECT_THAT(reconcile(), ElementsAre("drain worker 1", "TERM to worker 3: stopping", "drain worker 2"));
  fleet.set_stop(Stop::Immediate);
  EXPECT_THAT(reconcile(), ElementsAre("KILL to worker 1: stopping", "KILL to worker 3: stopping",  //
                                       "KILL to worker 2: stopping"));
  fleet.set_stop(Stop::Graceful);
  fleet.set_stop(Stop::No);
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_EQ(fleet.stop(), Stop::Immediate);
}

TEST_F(FleetTest, NothingStartsDuringAStop) {
  begin_serving(plain_policy(), 2);
  fleet.set_stop(Stop::Graceful);
  (void)reconcile();
  exited(1);
  fleet.set_size(5);
  fleet.set_generation(Generation{2});
  renew(0);
  renew(1);
  EXPECT_THAT(reconcile(), IsEmpty());
  exited(2, WorkerEnd::DoNotRestart);
  EXPECT_THAT(reconcile(), ElementsAre("finished"));
}

TEST_F(FleetTest, BucketsAreNotLentDuringAStop) {
  begin_serving(plain_policy(), 2);
  fleet.set_stop(Stop::Graceful);
  (void)reconcile();
  exited(1);
  (void)reconcile();
  after(10s);
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_EQ(to_deadline(), 10s);  // the drain of worker 2
}

TEST_F(FleetTest, AStopDoesNotWaitForDelaysAndRests) {
  Fleet::Policy policy = plain_policy();
  policy.backoff.first = 10s;
  begin_serving(policy, 1);
  exited(1);
  EXPECT_THAT(reconcile(), ElementsAre("delay slot 0 after failure 1"));
  fleet.set_stop(Stop::Graceful);
  EXPECT_THAT(reconcile(), ElementsAre("finished"));
}

TEST_F(FleetTest, ARenewalWaitsForThoseWhoDepartIfTheyMustNotLinger) {
  Fleet::Policy policy = plain_policy();
  policy.linger = 0;
  begin_serving(policy, 1);
  renew(0);
  (void)reconcile();
  ready(2);
  (void)reconcile();
  renew(0);
  EXPECT_THAT(reconcile(), IsEmpty()) << "worker 1 still departs";
  exited(1);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 0 as successor of generation 1"));
}

TEST_F(FleetTest, ARenewalThatIsWithdrawnDoesNotBeginAndOneUnderWayGoesOn) {
  begin_serving(plain_policy(), 2);
  renew(0);
  renew(1);
  EXPECT_THAT(reconcile(), ElementsAre("start worker 3 in slot 0 as successor of generation 1"));
  fleet.withdraw_renewal(SlotId{0});
  fleet.withdraw_renewal(SlotId{1});
  fleet.withdraw_renewal(SlotId{2});  // there is none
  EXPECT_TRUE(fleet.renewing());
  exited(3);
  (void)reconcile();
  EXPECT_FALSE(fleet.renewing());
  EXPECT_TRUE(serves(0) && serves(1));
}

TEST_F(FleetTest, ARenewalThatEndsWithTheStopIsNotReportedAsAbandoned) {
  begin_serving(plain_policy(), 1);
  renew(0);
  (void)reconcile();
  fleet.set_stop(Stop::Graceful);
  (void)reconcile();
  exited(2);
  EXPECT_THAT(reconcile(), IsEmpty());
}

TEST_F(FleetTest, AStopBeforeTheFirstStartIsFinishedAtOnce) {
  fleet.set_stop(Stop::Graceful);
  EXPECT_THAT(reconcile(), ElementsAre("finished"));
}

// A fleet is a value

TEST_F(FleetTest, ACopyAnswersWhatIfAndTheOriginalDoesNotNotice) {
  begin_serving(plain_policy(), 1);
  Fleet copy = fleet;
  copy.on_exited(WorkerId{1}, WorkerEnd::Ended, now);
  EXPECT_THAT(texts_of(copy.reconcile(now)), ElementsAre("start worker 2 in slot 0 of generation 1"));
  EXPECT_THAT(reconcile(), IsEmpty());
  EXPECT_TRUE(serves(0));
}

}  // namespace
}  // namespace holdfast
