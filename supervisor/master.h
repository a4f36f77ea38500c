#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "control/control_server.h"
#include "core/result.h"
#include "dispatcher.h"
#include "fleet_runner.h"
#include "logging.h"
#include "loop/loop.h"
#include "loop/signal_watcher.h"
#include "wire/status.h"

namespace holdfast {

// Why the program could not start or go on, and the exit code that says so.
struct Failure {
  Error error;
  int exit_code;
};

// The supervisor: owns the loop and everything that lives on it, wires the parts together and answers the control
// socket. It decides nothing about workers (Fleet) or connections (Dispatcher).
class Master {
 public:
  explicit Master(Config config);
  ~Master();

  // Checks the command, binds everything and starts the workers; then runs until it is told to stop. The result is the
  // exit code. On failure to start nothing is left behind: no process, no socket file.
  int run();

 private:
  [[nodiscard]] std::optional<Failure> start();
  [[nodiscard]] std::optional<Failure> check_command() const;
  [[nodiscard]] std::optional<Failure> open_listeners();
  [[nodiscard]] std::optional<Failure> open_control();
  [[nodiscard]] std::optional<Failure> choose_hash_key();
  void start_workers();
  void on_signal(int signal);
  void on_stop_signal();
  void on_control(ControlRequest request, ControlReply reply);
  void answer_status(ControlReply reply) const;
  void answer_route(const ControlRequest& request, ControlReply reply) const;
  void answer_restart(const ControlRequest& request, ControlReply reply);
  void answer_stop(const ControlRequest& request, ControlReply reply);
  void stop(Fleet::Stop how);
  void finish(int exit_code);
  [[nodiscard]] Status status() const;

  Config config_;
  Loop loop_;
  Logging logging_;
  TimePoint started_;
  int exit_code_ = 0;
  bool stopping_ = false;
  std::optional<TimePoint> signalled_;  // when a signal asked for a graceful stop: a second one means it more
  std::vector<std::pair<std::string, ListeningSocket>> sockets_;  // bound, until the dispatcher takes them
  std::vector<ControlReply> waiting_for_stop_;
  std::optional<Dispatcher> dispatcher_;
  std::optional<FleetRunner> runner_;
  std::unique_ptr<ControlServer> control_;
  std::optional<SignalWatcher> signals_;
};

}  // namespace holdfast
