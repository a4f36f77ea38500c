#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/cpu_list.h"
#include "core/fleet.h"
#include "core/intake.h"
#include "core/listen_address.h"
#include "core/placement_key.h"
#include "core/time.h"

namespace holdfast {

// Everything that can be chosen, with its default: the structs are the documentation of the defaults.

struct ListenerConfig {
  std::string name;  // letters, digits, '.', '_', '-'
  ListenAddress address;
  std::string pool;  // whose workers serve its clients; empty: the first pool's
};

// Where a new connection goes when its slot has no room (`queue_limit` waiting there).
enum class Overflow {
  Next,    // to the bucket's next choice that has room; accepting pauses when none has
  Wait,    // nowhere: accepting pauses until the slot has room
  Refuse,  // it is closed with a reset and counted
};

struct PoolConfig {
  std::string name = "main";
  std::vector<std::string> command;
  unsigned workers = 0;                            // 0: one for each CPU that we may use
  std::string working_directory;                   // empty: the supervisor's
  std::map<std::string, std::string> environment;  // beside what the workers inherit, and in place of it
  Intake intake = Intake::Auto;
  Plane plane = Plane::Auto;
  CpuList cpus;  // dealt out to the slots (core/cpu_list.h); empty: those of the supervisor
  // A worker that tells nothing of itself counts as ready when it has lived so long.
  Duration start_grace = std::chrono::seconds(1);
  Fleet::Policy fleet;
  std::vector<int> no_restart_codes = {78};  // EX_CONFIG. Not 2: a Go panic exits with it
  unsigned hold_limit = 1024;   // connections that wait for a slot without a serving worker; beyond, they overflow
  unsigned queue_limit = 1024;  // connections sent to a worker and not taken up yet; beyond, they overflow
  Overflow overflow = Overflow::Next;
  KeyPrefix prefix;
};

enum class LogLevel { Debug, Info, Warning, Error };

// Who keeps the state of a supervisor that is killed, so that the next one goes on with its workers.
enum class KeepState { No, Systemd };

struct Config {
  std::string name;          // of the supervisor; empty: the file name of the command
  std::string control_path;  // empty: NAME.sock in the default directory
  int backlog = 4096;        // of each listener; net.core.somaxconn caps it
  HashKey hash_key;          // both words 0: derived from the machine id
  LogLevel log_level = LogLevel::Info;
  KeepState keep_state = KeepState::No;
  std::vector<ListenerConfig> listeners;
  std::vector<PoolConfig> pools = {PoolConfig{}};  // at least one
};

}  // namespace holdfast
