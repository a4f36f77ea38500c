#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bus/bus_member.h"
#include "config/config.h"
#include "core/fleet.h"
#include "dispatcher.h"
#include "launch.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "node_workers.h"
#include "occupant.h"
#include "renewals.h"
#include "steerer.h"
#include "sys/descriptor_reserve.h"
#include "sys/fd_table.h"
#include "wire/saved_state.h"
#include "wire/status.h"
#include "worker/inbox.h"
#include "worker/node_session_door.h"
#include "worker/notify_socket.h"
#include "worker/worker_process.h"

namespace holdfast {

// Does what the Fleet decides: starts and signals processes, moves inboxes between workers, and tells the dispatcher
// and the log.
//
// Facts come in from processes and inboxes and are recorded in the fleet; then, once and outside all callbacks,
// reconcile is asked and its actions are performed in order. That is the only place where a worker or an inbox is
// created or destroyed.
class FleetRunner {
 public:
  struct Hooks {
    bool workers_survive_us = false;  // they are kept for the next supervisor
    std::function<void()>
        before_acting{};             // what was heard or wished is about to have consequences that cannot be taken back
    std::function<void()> on_acted;  // something may have changed: after each time that the fleet has decided
    std::function<void()> on_finished;  // stopped, and nobody is left
    std::function<void(const std::string& why)>
        on_give_up;                   // no worker ever became ready, or all said not to restart them
    OutputCapture::Sink on_line;      // a worker's output
    std::function<void()> on_left{};  // a worker has ended
    Bus* bus = nullptr;               // for workers that are offered a channel; none: they get no bus
  };
  FleetRunner(Loop& loop, const PoolConfig& pool, Dispatcher& dispatcher, Steerer& steerer, Hooks hooks);
  ~FleetRunner();

  // Workers are not offered capture: this system has none. Before `start`.
  void forgo_capture() { has_capture_ = false; }
  // The kernel does not steer here. Before `start`.
  void forgo_steering();
  void start();

  // Goes on with the workers of another one, in place of nobody: before `start`, after Dispatcher and Steerer have adopted. A
  // worker of which nothing can be had is given up, and replaced like one that has ended.
  [[nodiscard]] Outcome adopt(const SavedPool& saved, FdTable& fds);
  void save(SavedPool& saved, FdList& fds, SavedFor what) const;
  // After `adopt` of a state that is older than its channels: Inbox::recount and NodeInbox::recover for all; and
  // `start` finds out what the workers had said by then without anybody having written it down.
  void recount();
  // What cannot be saved and comes to an end, in words: somebody waits for a reload, a restart, another size; new slots get their
  // clients; a process of ours runs that is no worker. Empty: there is nothing of the kind.
  [[nodiscard]] std::string_view what_changes() const;
  // Ends the health checks of all workers that live; `resume_checks` begins them anew.
  void pause_checks();
  void resume_checks();

  void stop(Fleet::Stop stop);

  // Replaces the workers of one slot or of all, one after the other; `done` is called once with the outcome. It may be
  // called at once.
  void renew(std::optional<SlotId> slot, std::function<void(Outcome)> done);

  // Acts at once on the facts that are recorded, so that an answer shows one moment and not half of it. Not to be called from
  // a hook.
  void catch_up();

  // Changes the number of slots. Clients move once: to new slots as soon as all of these serve, from leaving ones at once. `done`
  // as above.
  void set_size(unsigned size, std::function<void(Outcome)> done);
  // `done` is called when every slot serves or is drained, or with why one does not.
  void await_serving(std::function<void(Outcome)> done);
  // Empties a slot and keeps it empty, or fills it again.
  void set_drained(SlotId slot, bool drained, std::function<void(Outcome)> done);

  // The pool's configuration has changed in place.
  void on_policy_changed();
  // Replaces every worker by one of a new generation, slot by slot. If one fails those that were replaced go back to the
  // generation before; by then `done` has been called, and who calls restores the configuration in it.
  void roll(std::function<void(Outcome)> done);

  // Whether a worker lives that was started to serve it.
  [[nodiscard]] bool is_known(ListenerId listener) const;
  // Listeners have come of which the next workers will show what they want of them.
  void expect_listeners() { retired_unwanted_ = false; }
  // These will be closed once the workers are replaced: the next ones are to serve the others. None: that is over.
  void expect_to_leave(std::vector<ListenerId> listeners) { leaving_ = std::move(listeners); }
  // A roll has failed: the workers of before open the servers that they had.
  void forget_node_servers() {
    if (node_) node_->forget_servers();
  }

  // At the end: resets what still waits for a worker.
  void refuse_waiting();

  // What the Steerer tells: the worker that has the slot's present sockets does not accept, or does again.
  void on_stalled(SlotId slot, bool stalled);

  // What the bus asks: which slots serve, and who serves one of them.
  [[nodiscard]] std::vector<bool> slots_that_serve() const;
  [[nodiscard]] std::optional<BusMember::Number> bus_member(SlotId slot) const;

  [[nodiscard]] PoolStatus status() const;
  // Connections of health checks that are, or were, among those handed and waiting.
  [[nodiscard]] std::uint64_t checks() const { return checks_; }
  // Slots whose worker serves.
  [[nodiscard]] unsigned serving() const;
  [[nodiscard]] unsigned slots() const { return static_cast<unsigned>(slots_.size()); }
  // Connections that were taken up in slots which have gone since.
  [[nodiscard]] std::uint64_t handed_before() const { return handed_before_; }

 private:
  struct Slot {
    std::unique_ptr<ConnectionSink> inbox;
    std::uint64_t starts = 0;
    std::uint64_t retired_handed = 0;  // by inboxes that are gone
    std::uint64_t retired_accepted = 0;
    std::uint64_t retired_lost = 0;
    std::uint64_t protocol_errors = 0;  // workers that sent garbage
    std::optional<std::string> last_exit;
    std::vector<std::string> last_lines;  // of the worker that ended last
  };

  [[nodiscard]] WorkerStatus describe_worker(const Fleet::Worker& worker, const Occupant* occupant) const;
  void schedule();
  void hear_again();
  void reconcile();
  void sample_heartbeats(TimePoint now);
  void forgive_silence(TimePoint now);
  void perform(const Fleet::StartWorker& action);
  void perform(const Fleet::CleanUpSlot& action);
  void perform(const Fleet::Promote& action);
  void perform(const Fleet::DrainWorker& action);
  void perform(const Fleet::SignalWorker& action);
  void perform(const Fleet::LendBuckets& action);
  void perform(const Fleet::ReturnBuckets& action);
  void perform(const Fleet::RemoveSlot& action);
  void perform(const Fleet::DelayStart& action);
  void perform(const Fleet::RestSlot& action);
  void perform(const Fleet::StopSlot& action);
  void perform(const Fleet::AbandonRenewal& action);
  void perform(const Fleet::GiveUp& action);
  void perform(const Fleet::Finished& action);

  [[nodiscard]] Outcome start(Occupant& occupant, WorkerId worker, Fleet::Role role);
  [[nodiscard]] Outcome start_clean_up(SlotId slot);
  void on_cleaned_up(SlotId slot, const ExitStatus& status);
  void watch_for_signs(Occupant& occupant, WorkerId worker);
  void give_grace(Occupant& occupant, WorkerId worker);
  [[nodiscard]] std::unique_ptr<Capture> make_capture(Occupant& occupant, WorkerId worker, UniqueFd notifications);
  [[nodiscard]] Result<std::unique_ptr<NotifySocket>> make_notify_socket(WorkerId worker, uid_t user);
  [[nodiscard]] Result<std::unique_ptr<ConnectionSink>> make_inbox();
  [[nodiscard]] Inbox::Hooks hooks_of_inbox();
  [[nodiscard]] WorkerProcess::Hooks hooks_of_process(WorkerId worker);
  [[nodiscard]] Outcome adopt(const SavedWorker& saved, FdTable& fds);
  [[nodiscard]] Result<std::unique_ptr<ConnectionSink>> adopt_inbox(const std::optional<SavedInbox>& saved,
                                                                    const std::optional<SavedNodeInbox>& of_node,
                                                                    FdTable& fds);
  void watch_for_signs_again(Occupant& occupant, const SavedWorker& saved, FdTable& fds);
  void give_up_unknown_workers();
  [[nodiscard]] SavedWorker save(WorkerId worker, const Occupant& occupant, FdList& fds, SavedFor what) const;
  [[nodiscard]] ConnectionSink* inbox_of(const Occupant& occupant) const;
  [[nodiscard]] std::optional<WorkerId> worker_on(const ConnectionSink& inbox) const;
  [[nodiscard]] std::string label(SlotId slot) const;
  [[nodiscard]] std::string missing_sign(const Occupant& occupant) const;
  [[nodiscard]] std::string listening_elsewhere() const;
  [[nodiscard]] bool waits_at_its_sockets(const Occupant& occupant);
  void look_where_it_listens(Occupant& occupant) const;
  void on_frame(Inbox& inbox, const WorkerFrame& frame);
  void on_notify(WorkerId worker, const NotifyMessage& message);
  void on_captured(WorkerId worker, std::size_t listener, pid_t thread);
  void on_serving(WorkerId worker, pid_t thread, const std::string& how);
  void on_grace_over(WorkerId worker);
  void on_other_bind(WorkerId worker, const std::string& address);
  void on_ready(WorkerId worker, std::string_view how);
  void on_settled();
  [[nodiscard]] Duration drain_spread(TimePoint deadline) const;
  void say_goodbye(WorkerId worker);

  // Of Node.js workers: fleet_runner_node.cc.
  [[nodiscard]] std::unique_ptr<NodeWorkers> make_node_workers();
  [[nodiscard]] std::vector<NodeServers::Offered> offered_listeners() const;
  void open_node_door();
  void look_for_strays();
  void on_node_accepting(WorkerId worker, bool accepts);
  void on_node_leaves(WorkerId worker, const std::string& why);
  void on_node_came_back(WorkerId worker);
  void on_node_grace_over(WorkerId worker);
  [[nodiscard]] static std::string what_passes_us_by(const Occupant& occupant);
  [[nodiscard]] std::string missing_node_sign(const Occupant& occupant) const;

  void settle_upkeep();
  void settle_upkeep(WorkerId worker, Occupant& occupant);
  [[nodiscard]] bool wants_checks() const;
  [[nodiscard]] bool is_passed_connections() const;  // its workers are, by us
  [[nodiscard]] HealthWatch::Hooks hooks_of_watch(WorkerId worker);
  [[nodiscard]] std::uint16_t listener_for_check(const Occupant& occupant) const;
  [[nodiscard]] Result<SpawnPlan> plan_check(const Occupant& occupant) const;
  void on_verdict(WorkerId worker, Health::State state, const std::string& why);
  void bury(std::unique_ptr<CommandCheck> check);
  void sample_work();
  void recycle(WorkerId worker, Occupant& occupant, Recycle::Why why);
  [[nodiscard]] std::vector<Connection> take_back_some(ConnectionSink& inbox);
  [[nodiscard]] std::vector<Connection> without_checks(std::vector<Connection> connections);
  void on_garbage(const ConnectionSink& inbox, const Error& error);
  void on_exit(WorkerId worker, const ExitStatus& status);
  // `known`: as the fleet had it until then, or null. `hint`: what may be done about it, with a space in front; or empty.
  void tell_exit(const Occupant& occupant, const ExitStatus& status, const Fleet::Worker* known,
                 const std::string& hint) const;
  void retire(SlotId slot, std::unique_ptr<ConnectionSink> inbox);
  void place_again(ConnectionSink& inbox);
  void replace_inbox(SlotId slot);
  void tell_dispatcher();
  void adopt_size();
  void warm_up();
  [[nodiscard]] std::optional<Outcome> sized() const;
  void settle_wishes();
  [[nodiscard]] Outcome join_bus(Occupant& occupant);
  void fail_wishes(const std::string& why);
  void settle_roll();
  void fail_roll(const std::string& why);
  void fail_renewal(SlotId slot, const std::string& why);
  [[nodiscard]] std::string why_no_successor(SlotId slot) const;

  // A worker that is replaced in the steer plane goes on accepting so long at least: handshakes that had begun at its
  // socket end there.
  static constexpr Duration kHandshake = std::chrono::seconds(1);

  // Something that somebody waits for, asked after each reconcile; nothing: it is not settled yet.
  struct Wish {
    std::function<std::optional<Outcome>()> settled;
    std::function<void(Outcome)> done;
  };

  struct CleanUp {
    std::unique_ptr<WorkerProcess> process;
    std::unique_ptr<Timer> limit;
  };

  Loop& loop_;
  const PoolConfig& pool_;
  Dispatcher& dispatcher_;
  Steerer& steerer_;
  Hooks hooks_;
  Fleet fleet_;
  DescriptorReserve reserve_;  // for the start of a worker
  Renewals renewals_;
  Settlement settlement_;
  std::unique_ptr<NodeSessionDoor> node_door_;
  std::unique_ptr<NodeWorkers> node_;  // none where the workers are no Node.js
  bool has_capture_ = true;
  bool has_steering_ = true;
  bool retired_unwanted_ = false;
  std::vector<ListenerId> leaving_;  // though they still serve
  std::vector<Slot> slots_;
  std::map<WorkerId, Occupant> occupants_;
  std::map<SlotId, CleanUp> clean_ups_;
  std::vector<Wish> wishes_;
  Generation generation_{1};  // as wished
  std::uint32_t last_generation_ = 1;
  std::optional<Generation> roll_back_to_;  // while a roll is under way
  std::function<void(Outcome)> rolled_;
  unsigned size_;                            // as wished
  std::uint64_t handed_before_ = 0;          // by slots that have gone
  std::vector<Dispatcher::SlotState> told_;  // what the dispatcher knows of each slot
  std::optional<BucketTable> warm_up_from_;  // while new slots get their clients
  TimePoint warm_up_begun_{};
  bool scheduled_ = false;
  bool keep_first_ = false;  // something was heard or wished that must be kept before it is acted upon
  bool recounted_ = false;
  bool looking_for_strays_ = false;
  TimePoint due_ = kNever;  // when the fleet asked to be asked next
  Timer warming_up_;
  std::uint64_t checks_ = 0;
  bool is_sampling_ = false;
  TimePoint next_check_complaint_{};
  TimePoint next_overflow_complaint_{};
  std::map<const CommandCheck*, std::unique_ptr<CommandCheck>> buried_;  // killed, and not ended yet
  Timer sampling_;                                                       // of what recycling looks at
  Timer retiring_;
  Timer timer_;
};

}  // namespace holdfast
