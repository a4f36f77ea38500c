#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "activation.h"
#include "bus/bus_member.h"
#include "config/config.h"
#include "config/reload_plan.h"
#include "control/control_server.h"
#include "core/result.h"
#include "exit_code.h"
#include "leftovers.h"
#include "load_config.h"
#include "logging.h"
#include "loop/loop.h"
#include "loop/signal_watcher.h"
#include "loop/timer.h"
#include "pool.h"
#include "service_link.h"
#include "state_keeper.h"
#include "takeover.h"
#include "upgrade/upgrade_check.h"
#include "wire/service_news.h"
#include "wire/status.h"

namespace holdfast {

class Bus;
struct BusPool;

// Why the program could not start or go on, and the exit code that says so.
struct Failure {
  Error error;
  int exit_code;
};

// The supervisor: owns the loop and everything that lives on it, wires the parts together and answers the control
// socket. It decides nothing about workers and connections: each Pool does.
class Master {
 public:
  // `source`: where `config` was read, for reloads.
  Master(Config config, ConfigSource source);
  // Goes on where another one has stopped: `run` starts nobody who runs already.
  Master(Takeover takeover, ConfigSource source);
  // The same after the sudden death of another process.
  Master(KeptState kept, ConfigSource source);
  // What a service manager gave. Before `run`.
  void set_activation(Activation activation) { activation_ = std::move(activation); }
  ~Master();

  // Checks the command, binds everything and starts the workers; then runs until it is told to stop. The result is the
  // exit code. On failure to start nothing is left behind: no process, no socket file.
  int run();

 private:
  [[nodiscard]] std::optional<Failure> start();
  [[nodiscard]] std::optional<Failure> open_log();
  static const std::vector<int> kHeard;  // signals
  void listen_to_signals();
  [[nodiscard]] static std::optional<Failure> check_command(const PoolConfig& pool);
  [[nodiscard]] std::optional<Failure> open_listeners();
  [[nodiscard]] std::optional<Failure> open_listener(const ListenerConfig& listener);
  [[nodiscard]] std::optional<Failure> take_activated(const ListenerConfig& listener);
  [[nodiscard]] std::optional<Failure> open_control();
  [[nodiscard]] std::optional<Failure> choose_hash_key();
  void start_workers();
  [[nodiscard]] static Failure failure_to_listen(const Error& error);
  [[nodiscard]] std::unique_ptr<Pool> make_pool(const PoolConfig& config);
  void on_finished(Pool& pool);
  void on_give_up(Pool& pool, const std::string& why);
  // Stops it at once; `retire_pool` first serves who has begun to come.
  void remove_pool(const std::string& name);
  void retire_pool(const std::string& name);
  [[nodiscard]] Pool* take_out(const std::string& name);
  void stop_leaving(Pool& pool);
  [[nodiscard]] bool is_leaving(const Pool& pool) const;
  void follow_cpus();
  void forget(const Pool& pool);
  [[nodiscard]] Pool* pool_of(std::string_view name) const;  // empty: the first; null: there is none of that name
  [[nodiscard]] Result<Pool*> pool_of(const ControlRequest& request) const;
  void on_signal(int signal);
  void on_stop_signal();
  void on_control(ControlRequest request, ControlReply reply);
  void answer_status(const ControlRequest& request, ControlReply reply) const;
  void answer_route(const ControlRequest& request, ControlReply reply) const;
  void answer_clients(const ControlRequest& request, ControlReply reply) const;
  void answer_restart(const ControlRequest& request, ControlReply reply);
  using Done = std::function<void(const Outcome&)>;
  [[nodiscard]] Result<std::optional<SlotId>> slot_of(const ControlRequest& request, const Pool& pool) const;
  [[nodiscard]] static Done answer_when_done(const ControlRequest& request, ControlReply reply, std::size_t parts,
                                             std::string begun, std::string done);
  void answer_scale(const ControlRequest& request, ControlReply reply);
  void answer_drain(const ControlRequest& request, ControlReply reply, bool drained);
  void change_size(int change);
  void drain_all();
  // Reads the configuration anew and applies what differs. `answer` is called once, maybe at once: with what was done, or with
  // why nothing was. While one reload is under way the next waits, and stands for all that are wished meanwhile.
  struct ReloadEnd {
    Result<std::string> text;
    int exit_code = kExitOk;                                  // what a command exits with that has waited
    ReloadEnd(std::string lines) : text(std::move(lines)) {}  // NOLINT(google-explicit-constructor)
    ReloadEnd(Failure failure) : text(std::move(failure.error)), exit_code(failure.exit_code) {}  // NOLINT
  };
  using Answer = std::function<void(const ReloadEnd&)>;
  void reload(Answer answer);
  [[nodiscard]] Result<ReloadPlan> plan_of_reload() const;
  [[nodiscard]] std::optional<Failure> prepare(const ReloadPlan& plan);
  [[nodiscard]] std::optional<Failure> open_coming(const ReloadPlan& plan);
  [[nodiscard]] std::vector<Pool::InTheWay> in_the_way_of(const ListenerConfig& listener, const ReloadPlan& plan) const;
  void abandon_preparation(const ReloadPlan& plan);
  void perform_reload();
  void on_part_done(const std::string& pool, const Outcome& outcome);
  void conclude_reload();
  void end_reload();
  void finish_reload(const ReloadEnd& end);
  void answer_reload(const ControlRequest& request, ControlReply reply);
  [[nodiscard]] Outcome make_bus();
  [[nodiscard]] BusPlace place_on_bus(std::string_view pool, std::string_view key) const;
  [[nodiscard]] std::vector<BusPool> pools_on_bus() const;
  void answer_publish(const ControlRequest& request, ControlReply reply);
  void answer_emit(const ControlRequest& request, ControlReply reply);
  void answer_tail(const ControlRequest& request, ControlReply reply);
  // Upgrade in place (master_upgrade.cc): asked for -> nobody waits for anything else -> the new program has checked our
  // state -> nothing is under way in the loop -> exec. Whatever fails ends it, with a reason, and nothing has changed.
  struct Upgrade {
    std::string binary;
    std::optional<ControlReply> reply;  // none: it was a signal, or it is answered
    bool wait = false;
    std::unique_ptr<UpgradeCheck> check;
    bool checked = false;
    std::string waits_for{};  // as it was told last
  };
  void answer_upgrade(const ControlRequest& request, ControlReply reply);
  void begin_upgrade(Upgrade upgrade);
  void check_next_program();
  void on_checked(const Outcome& outcome);
  void end_upgrade(const Error& why);
  void become_next_program();
  [[nodiscard]] std::string what_changes() const;
  [[nodiscard]] bool upgrade_waits();
  [[nodiscard]] Result<SavedState> snapshot(FdList& fds, SavedFor what) const;
  [[nodiscard]] Config config_of_pools() const;
  [[nodiscard]] std::optional<Failure> take_over();
  void resume();
  // For the case that we are killed (master_keep.cc): our state is written down as for an upgrade whenever something
  // changes, and the service manager keeps the descriptors.
  [[nodiscard]] bool keeps_workers() const;
  void begin_keeping();
  void take_over_keeping();
  [[nodiscard]] std::optional<Failure> add_pools_not_saved();
  void recover();
  void end_leftovers();
  void answer_stop(const ControlRequest& request, ControlReply reply);
  void stop(Fleet::Stop how);
  void finish(int exit_code);
  [[nodiscard]] Status status() const;
  [[nodiscard]] ServiceState service_state() const;

  Config config_;
  ConfigSource source_;
  std::string last_reload_;  // in words; empty: there was none
  bool reload_failed_ = false;
  Loop loop_;
  Logging logging_;
  Activation activation_;
  ServiceLink service_;
  TimePoint started_;
  std::optional<Error> no_lasting_key_;  // why the hash key is a random one: told when the start has succeeded
  int exit_code_ = 0;
  bool stopping_ = false;
  bool finished_ = false;
  std::optional<TimePoint> signalled_;  // when a signal asked for a graceful stop: a second one means it more
  std::vector<ControlReply> waiting_for_stop_;
  std::unique_ptr<Bus> bus_;
  std::optional<Takeover> takeover_;  // until it is done
  std::uint64_t epoch_ = 0;
  std::optional<KeptState> kept_;  // likewise, without its takeover
  std::unique_ptr<StateKeeper> keeper_;
  std::unique_ptr<Leftovers> leftovers_;
  std::optional<Upgrade> upgrade_;
  std::vector<std::unique_ptr<Pool>> pools_;
  std::vector<std::unique_ptr<Pool>> leaving_pools_;  // no longer wished, and not empty yet
  std::set<const Pool*> given_up_;                    // new ones that no worker came up in
  Status account_of_gone_;                            // the numbers of pools that have gone; nothing else
  std::size_t finished_pools_ = 0;
  unsigned cpus_ = 0;  // as last seen
  Timer cpus_timer_;
  // A reload under way, and those who wait for the next.
  struct Reload {
    std::vector<Answer> answers;
    ReloadPlan plan;
    Config before;
    std::size_t parts = 0;    // pools that have not answered yet
    bool is_decided = false;  // what is new stays, or has been taken back
    std::vector<std::string> failures;
  };
  std::unique_ptr<Reload> reload_;
  std::vector<Answer> next_reload_;
  std::unique_ptr<ControlServer> control_;
  std::optional<SignalWatcher> signals_;
  Timer upgrade_timer_;  // until nobody waits for anything else
};

}  // namespace holdfast
