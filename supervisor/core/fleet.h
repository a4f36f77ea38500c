#pragma once

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "core/backoff.h"
#include "core/ids.h"
#include "core/start_limit.h"
#include "core/time.h"

namespace holdfast {

// The fleet of one pool decides which workers live, and when. It is a value: it knows no process, no clock and no log,
// and a copy of it answers "what if".
//
// A slot is permanent; workers occupy it one after the other. A worker of a slot has one of three roles:
//
//   incumbent   reads the slot's inbox (or will, once it has started).
//               After its death the next incumbent reads the same inbox.
//   successor   is started beside a serving incumbent to replace it.
//               It has an inbox of its own and serves nobody yet.
//   departing   was replaced, or was to replace the incumbent and is wanted no more.
//               It finishes what it has taken up and gets nothing new.
//
// and passes through these phases (a phase is never entered twice):
//
//   Starting    until it says that it is ready, or its deadline
//   Serving     until it is replaced, hangs (no heartbeat within the limit), dies, or the pool stops
//   Draining    told to finish, with a deadline; it may hang as before
//   Ending      sent SIGTERM (or SIGABRT if it hung), with a deadline
//   Killed      sent SIGKILL
//   Gone        has ended; the next reconcile forgets it
//
// A slot without an incumbent is paused for one of these reasons: none (start at once), Backoff (a delay that grows
// with each failure in a row), Resting (the start limit was reached: after a long time one probe is started, and if
// that fails too it rests again), Stopped (the worker said by its exit code that restarting is useless).
//
// Workers that belong together (a primary and its secondaries) may be a group: if one ends or is to be replaced, all are told to
// go, and when nobody is left they are started again, each slot when those below it serve. A group has no successors: two
// primaries at a time are just what its workers cannot bear. What a worker leaves behind may have to be cleaned up before the
// next one is started; that is asked of the shell, and its failure counts as that of a worker.
//
// on_... and set_... and request_... only record what happened or is wished. reconcile alone decides; it is idempotent:
// called again at the same time it answers nothing. next_deadline tells when its answer would next change if nothing
// more were reported.
class Fleet {
 public:
  enum class StartOrder {
    Together,
    OneByOne
  };                                     // OneByOne: a slot's worker is started when those of all slots below serve
  enum class RestartGroup { One, All };  // who is started again with a worker that has ended
  enum class CleanUp { None, BeforeRestart };

  struct Policy {
    StartOrder start_order = StartOrder::Together;  // a group is always started one by one
    RestartGroup restart_group = RestartGroup::One;
    CleanUp clean_up = CleanUp::None;
    Duration start_timeout = std::chrono::seconds(30);  // from start to ready
    Duration heartbeat_timeout =
        std::chrono::seconds(30);  // without a heartbeat a serving or draining worker counts as hung; zero: never
    Duration drain_timeout = std::chrono::seconds(30);  // from drain to SIGTERM
    Duration kill_timeout = std::chrono::seconds(5);    // from SIGTERM or SIGABRT to SIGKILL
    Duration stop_timeout = std::chrono::seconds(60);   // the whole of a graceful stop
    Duration hold_timeout = std::chrono::seconds(10);   // how long a slot may be unserved before its buckets are lent
    Duration stable_time =
        std::chrono::seconds(10);        // a worker that served this long has made good all earlier failures
    Duration canary = Duration::zero();  // how long a successor must be ready before it takes the slot
    unsigned surge = 1;                  // slots that may have a successor at a time
    unsigned linger = 3;                 // workers of a slot that may depart while another successor is started
    BackoffPolicy backoff;
    StartLimitPolicy start_limit;
    bool operator==(const Policy&) const = default;
  };

  enum class Role { Incumbent, Successor };
  enum class Signal { Terminate, Abort, Kill };
  // Why a worker gets a signal.
  enum class Why { Drained, Hung, NotReady, Unhealthy, Misbehaved, Overdue, Stopping };
  enum class WorkerEnd { Ended, DoNotRestart };  // DoNotRestart: an exit code that says so
  enum class Stop { No, Graceful, Immediate };

  // What the shell is to do, in this order. What it cannot do comes back as a fact (on_start_failed, on_exited).
  struct StartWorker {
    SlotId slot;
    WorkerId worker;
    Generation generation;
    Role role;
  };
  struct CleanUpSlot {
    SlotId slot;
  };  // answered by on_cleaned_up; in a group once for all
  struct Promote {
    SlotId slot;
    WorkerId worker;
    std::optional<WorkerId> predecessor;
  };  // new connections to it; the old inbox is read back
  struct DrainWorker {
    WorkerId worker;
    TimePoint deadline;
  };
  struct SignalWorker {
    WorkerId worker;
    Signal signal;
    Why why;
  };
  struct LendBuckets {
    SlotId slot;
  };  // the slot is unserved for too long: its buckets go to their next choices
  struct ReturnBuckets {
    SlotId slot;
  };
  struct RemoveSlot {
    SlotId slot;
  };  // nobody is left in a slot beyond the wished size
  struct DelayStart {
    SlotId slot;
    TimePoint until;
    unsigned failures;
  };  // these four only inform
  struct RestSlot {
    SlotId slot;
    TimePoint until;
  };
  struct StopSlot {
    SlotId slot;
  };
  struct AbandonRenewal {
    SlotId slot;
  };                   // the successor failed; not tried again until a renewal or another generation is wished
  struct GiveUp {};    // every slot is stopped, or every slot rests or is stopped and no worker was ever ready
  struct Finished {};  // stopped, and nobody is left
  using Action = std::variant<StartWorker, CleanUpSlot, Promote, DrainWorker, SignalWorker, LendBuckets, ReturnBuckets,
                              RemoveSlot, DelayStart, RestSlot, StopSlot, AbandonRenewal, GiveUp, Finished>;

  Fleet(Policy policy, unsigned size, Generation generation, std::uint64_t seed);

  // Everything that a fleet remembers beside its policy. One that is made of it answers from then on as this one would
  // (wire/saved_fleet.h makes bytes of it: what is added here is added there).
  struct Saved;
  [[nodiscard]] Saved save() const;
  Fleet(Policy policy, Saved saved);

  // Wishes.
  void set_policy(const Policy& policy) { policy_ = policy; }
  void set_size(unsigned size) { wished_size_ = size; }
  void set_generation(Generation generation) { generation_ = generation; }
  // Its workers are to go, its clients elsewhere, until that is taken back; then one is started at once, as for a renewal.
  void set_drained(SlotId slot, bool drained);
  void set_stop(Stop stop);            // never taken back: only made more urgent
  void withdraw_renewal(SlotId slot);  // unless a successor is under way already
  void request_renewal(SlotId slot);   // replace the incumbent; start at once what is delayed or resting

  // Facts. A worker that is not known (any more) is ignored.
  void on_ready(WorkerId worker, TimePoint now);
  void on_heartbeat(WorkerId worker, TimePoint at);  // an older one than the last is ignored
  void on_misbehaved(WorkerId worker);               // it broke the protocol
  void on_stalled(WorkerId worker, bool stalled);  // it lives and has stopped (or begun again) to accept: core/stall.h
  // What its health checks say. New clients of an unhealthy incumbent go elsewhere, as long as another slot is well: if
  // all are ill, everybody serves his own. An unhealthy successor is ended and never takes the slot.
  void on_health(WorkerId worker, bool healthy);
  void on_exited(WorkerId worker, WorkerEnd end, TimePoint now);
  void on_start_failed(WorkerId worker, WorkerEnd end, TimePoint now) { on_exited(worker, end, now); }
  void on_cleaned_up(SlotId slot, bool done);

  [[nodiscard]] std::vector<Action> reconcile(TimePoint now);
  [[nodiscard]] TimePoint next_deadline()
      const;  // after a reconcile: later than its `now`; kNever if only facts can change anything

  // Questions, for status and tests.
  struct Starting {
    TimePoint deadline;
  };
  struct Serving {
    TimePoint since;
    TimePoint last_heartbeat;
  };
  struct Draining {
    TimePoint deadline;
    TimePoint last_heartbeat;
    TimePoint since{};
  };
  struct Ending {
    TimePoint deadline;
  };
  struct Killed {};
  struct Gone {
    WorkerEnd end;
    TimePoint at;
  };
  using Phase = std::variant<Starting, Serving, Draining, Ending, Killed, Gone>;
  struct Worker {
    WorkerId id;
    Generation generation;
    TimePoint started{};
    std::optional<TimePoint> ready_at;  // when it began to serve, if it ever did
    Phase phase;
    bool outdated = false;    // somebody asked to replace it
    bool stalled = false;     // it does not accept: the slot counts as unserved, its clients go elsewhere at once
    bool unhealthy = false;   // it fails its health checks
    bool misbehaved = false;  // it broke the protocol and is to be killed
    bool dismissed = false;   // told to go because its slot leaves or the pool stops: its end is no failure

    // The generation of its last successor, if that has failed.
    std::optional<Generation> failed_successor;
  };
  struct MayStart {};
  struct Backoff {
    TimePoint until;
  };
  struct Resting {
    TimePoint until;
  };
  struct Stopped {};
  using Pause = std::variant<MayStart, Backoff, Resting, Stopped>;
  enum class Cleaning { NotNeeded, Needed, Asked, Failed };
  struct Slot {
    std::optional<Worker> incumbent;
    std::optional<Worker> successor;
    std::vector<Worker> departing;
    Pause pause;                   // meaningful without an incumbent
    Generation paused_generation;  // what failed; another generation may start at once
    unsigned failures = 0;         // in a row
    StartLimit start_limit;
    bool on_probation = false;                // a probe after a rest: one failure and it rests again
    Cleaning cleaning = Cleaning::NotNeeded;  // of what its last worker has left
    bool drained = false;                     // by an operator's wish it has no worker
    bool lent = false;                        // its buckets are with their next choices
    std::optional<TimePoint> unserved_since;  // empty while the incumbent serves
  };
  [[nodiscard]] const std::vector<Slot>& slots() const { return slots_; }
  [[nodiscard]] Stop stop() const { return stop_; }
  [[nodiscard]] bool renewing() const;  // a renewal is under way or asked for
  [[nodiscard]] const Worker* find(WorkerId worker) const;
  [[nodiscard]] bool is_shunned(SlotId slot) const;  // it serves, is unhealthy, and others can take its new clients

  struct Saved {
    unsigned wished_size = 0;
    Generation generation;
    std::uint64_t random_state = 0;
    Stop stop = Stop::No;
    std::optional<TimePoint> stop_deadline;
    bool ever_ready = false;
    bool regrouping = false;
    bool concluded = false;
    std::uint32_t last_worker = 0;
    std::vector<Slot> slots;
  };

 private:
  using Actions = std::vector<Action>;
  Worker* find_mutable(WorkerId worker);
  [[nodiscard]] SlotId id_of(const Slot& slot) const;
  [[nodiscard]] bool leaving(const Slot& slot) const;
  [[nodiscard]] bool shunned(const Slot& slot) const;
  [[nodiscard]] bool wants_renewal(const Slot& slot) const;
  [[nodiscard]] unsigned renewals_under_way() const;
  [[nodiscard]] bool may_take_over(const Worker& worker, TimePoint now) const;
  [[nodiscard]] double random();

  static void start_anew(Slot& slot);
  void begin_stop(TimePoint now);
  void add_slots(TimePoint now);
  void bury(Slot& slot, TimePoint now, Actions& actions);
  void abandon_renewal(Slot& slot, Actions& actions);
  void record_failure(Slot& slot, const Worker& worker, WorkerEnd end, TimePoint now, Actions& actions);
  void enforce_deadlines(Slot& slot, TimePoint now, Actions& actions);
  void end_if_unhealthy(Worker& worker, TimePoint now, Actions& actions) const;
  void enforce_deadline(Worker& worker, TimePoint now, Actions& actions);
  void dismiss(Slot& slot, TimePoint now, Actions& actions);
  void dismiss(Worker& worker, TimePoint now, Actions& actions);
  void promote_if_due(Slot& slot, TimePoint now, Actions& actions);
  void promote(Slot& slot, TimePoint now, Actions& actions);
  void start_if_due(Slot& slot, TimePoint now, Actions& actions);
  Worker start(const Slot& slot, Role role, TimePoint now, Actions& actions);
  void settle_buckets(Slot& slot, TimePoint now, Actions& actions);
  void lend(Slot& slot, Actions& actions);
  [[nodiscard]] bool is_group() const { return policy_.restart_group == RestartGroup::All; }
  [[nodiscard]] static bool is_due(const Slot& slot, TimePoint now);
  [[nodiscard]] bool is_turn_of(const Slot& slot) const;
  void regroup(TimePoint now, Actions& actions);
  [[nodiscard]] bool clean_up(Slot& slot, Actions& actions);
  void note_failed_clean_up(Slot& slot, TimePoint now, Actions& actions);
  void remove_empty_slots(Actions& actions);
  void conclude(Actions& actions);

  Policy policy_;
  unsigned wished_size_;
  Generation generation_;
  std::uint64_t random_state_;
  Stop stop_ = Stop::No;
  std::optional<TimePoint> stop_deadline_;  // set when the wish to stop is first seen
  bool ever_ready_ = false;
  bool regrouping_ = false;  // all are to go before anybody is started
  bool concluded_ = false;   // GiveUp or Finished was said
  std::uint32_t last_worker_ = 0;
  std::vector<Slot> slots_;
};

}  // namespace holdfast
