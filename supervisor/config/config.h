#pragma once

#include <map>
#include <string>
#include <vector>

#include "core/admission.h"
#include "core/bus_queue.h"
#include "core/cpu_list.h"
#include "core/fleet.h"
#include "core/health.h"
#include "core/intake.h"
#include "core/limit_set.h"
#include "core/listen_address.h"
#include "core/node_dialect.h"
#include "core/node_serialization.h"
#include "core/placement_key.h"
#include "core/placement_strategy.h"
#include "core/preface_key.h"
#include "core/process_limits.h"
#include "core/proxy_policy.h"
#include "core/recycle.h"
#include "core/routes.h"
#include "core/time.h"

namespace holdfast {

// Everything that can be chosen, with its default: the structs are the documentation of the defaults.

// What limits do when they are reached.
enum class Enforcement {
  Refuse,
  DryRun,  // they are only counted: to see what they would do before they do it
};

// Whom a listener lets in.
struct AdmissionConfig {
  std::string allow_file;  // ranges of addresses, one a line; empty: everybody
  std::string deny_file;   // the same; whoever is on it is refused, on the other list or not
  KeyPrefix source;        // how much of an address makes a source
  unsigned rate = 0;       // connections of a source within `rate_period`; 0: no limit
  Duration rate_period = std::chrono::seconds(1);
  unsigned source_connections = 0;  // open ones of a source; 0: no limit
  unsigned total_connections = 0;   // open ones of all that this listener has accepted; 0: no limit
  unsigned ban_after =
      0;  // refusals within a minute after which a source is refused everything for `ban_time`; 0: never
  Duration ban_time = std::chrono::minutes(1);
  unsigned sources = 65'536;                      // that are remembered
  Enforcement enforcement = Enforcement::Refuse;  // of all
  LimitSet dry_run;                               // those that are only tried all the same; of its pools too
  enum class Form { Reset, Http };
  Form form = Form::Reset;  // how the refused are told

  [[nodiscard]] LimitSet tried() const { return enforcement == Enforcement::DryRun ? LimitSet::all() : dry_run; }
  [[nodiscard]] bool remembers_sources() const { return rate != 0 || source_connections != 0; }
  [[nodiscard]] bool bounds_connections() const { return source_connections != 0 || total_connections != 0; }
  bool operator==(const AdmissionConfig&) const = default;
};

struct ListenerConfig {
  std::string name;  // letters, digits, '.', '_', '-'
  ListenAddress address;
  std::string pool;  // whose workers serve its clients; empty: the first pool's
  ProxyPolicy proxy_protocol = {};
  std::vector<Route> routes = {};  // to other pools than its own; the first that holds decides
  AdmissionConfig admission = {};
  // From accepting to a whole preface: the PROXY header, and the first bytes that keys and routes ask for.
  Duration preface_timeout = std::chrono::seconds(5);
  unsigned preface_limit = 4096;  // connections that may wait for theirs; beyond, the oldest goes
};

// Where a new connection goes when its slot has no room (`queue_limit` waiting there).
enum class Overflow {
  Next,    // to the bucket's next choice that has room; accepting pauses when none has
  Wait,    // nowhere: accepting pauses until the slot has room
  Refuse,  // it is closed with a reset and counted
};

// A signal by its name: "TERM", "QUIT", "INT" ...
struct SignalName {
  int number = 15;  // SIGTERM on every Linux
  bool operator==(const SignalName&) const = default;
};

// What a worker that knows no drain serves out before it is sent its stop signal.
enum class DrainWait {
  Queue,        // whom the kernel has queued for it
  Connections,  // and whom it has accepted, until their connections have ended
};

// What matters for Node.js workers alone.
struct NodeConfig {
  // By what a worker is known to be ready.
  enum class Ready { Listening, Message };
  // What it is told when it is to leave: to disconnect; and before that, as PM2 does it, a message of its own.
  enum class Farewell { Disconnect, Message };
  // What becomes of process.send() where it is meant for nobody we know.
  enum class Messages { Log, Relay, Drop };

  // By what a client of Socket.IO keeps its worker: by its address, like everybody; or its session, wherever it comes from.
  enum class StickyBy { Address, Session };

  NodeDialect dialect = NodeDialect::Auto;
  StickyBy sticky_by = StickyBy::Address;
  Ready ready = Ready::Listening;
  Farewell farewell = Farewell::Disconnect;
  Messages messages = Messages::Log;
  NodeSerialization serialization = NodeSerialization::Json;
};

// What becomes of a worker that fails its health checks.
enum class HealthAction {
  Drain,    // its new clients go to other slots until it passes
  Restart,  // the same, and a successor replaces it
};

struct HealthConfig {
  std::string http;                  // the target of a GET; empty: no such check
  std::vector<std::string> command;  // a program that is run beside the worker; empty: none
  HealthPolicy policy;
  HealthAction action = HealthAction::Drain;
  [[nodiscard]] bool wants_checks() const { return !http.empty() || !command.empty(); }
};

// Among which slots the key of a message belongs to one.
enum class PoolScope {
  Machine,  // those of this machine
  Fleet,    // those of all machines that have a pool of this name and share our Redis
};

struct PoolConfig {
  std::string name = "main";
  std::vector<std::string> command;
  bool workers_auto = false;                       // `workers` was found out, and follows the CPUs
  unsigned workers = 0;                            // 0: one for each CPU that we may use
  std::string working_directory;                   // empty: the supervisor's
  std::map<std::string, std::string> environment;  // beside what the workers inherit, and in place of it
  PoolScope scope = PoolScope::Machine;
  Intake intake = Intake::Auto;
  Plane plane = Plane::Auto;
  std::string user;       // of the workers; empty: the supervisor's
  std::string group;      // empty: the user's own
  FileMask umask;         // of the files that workers make
  int nice = 0;           // added to the supervisor's
  ResourceLimits limits;  // beside what the workers inherit
  CpuList cpus;           // dealt out to the slots (core/cpu_list.h); empty: those of the supervisor
  // A worker that tells nothing of itself counts as ready when it has lived so long.
  Duration start_grace = std::chrono::seconds(1);
  SignalName stop_signal;
  // A server that finishes what it has begun when it is told to stop should be told at once: it alone knows which
  // connections are idle, and a browser holds its own for minutes.
  DrainWait drain_wait = DrainWait::Queue;
  Fleet::Policy fleet;
  Duration drain_spread{};            // over which a draining worker closes its connections; zero: as soon as it can
  std::vector<std::string> clean_up;  // run before a worker is started again; empty: nothing
  Duration clean_up_timeout = std::chrono::seconds(30);
  std::vector<int> no_restart_codes = {78};  // EX_CONFIG. Not 2: a Go panic exits with it
  unsigned hold_limit = 1024;   // connections that wait for a slot without a serving worker; beyond, they overflow
  unsigned queue_limit = 1024;  // connections sent to a worker and not taken up yet; beyond, they overflow
  Overflow overflow = Overflow::Next;
  unsigned max_connections = 0;       // open ones of all slots together; beyond, new ones wait; 0: no limit
  unsigned max_slot_connections = 0;  // the same for one slot; beyond, they overflow
  unsigned wait_limit = 1024;         // connections that wait for either; beyond, they are refused
  Duration wait_timeout = std::chrono::seconds(10);  // and for how long
  [[nodiscard]] bool bounds_connections() const { return max_connections != 0 || max_slot_connections != 0; }
  LimitSet dry_run;                        // of these two, those that are only tried
  Duration slow_start = Duration::zero();  // over which new slots get their clients
  KeyPrefix prefix;
  NodeConfig node;
  HealthConfig health;
  RecyclePolicy recycle;
  std::vector<PrefaceKey> key = {RemoteAddressKey{}};  // the first that is present
  Placement placement = Placement::Rendezvous;
  std::vector<int> weights = {};  // of slot 0, 1, ...; those of further slots are 1
  unsigned balance_factor = 0;    // percent of its share that a slot may have; 0: no bound
};

// Messages between workers.
struct BusConfig {
  std::string redis;                       // core/redis_url.h; empty: this machine alone
  std::string fleet = "holdfast";          // of machines that share it; others on the same Redis do not hear them
  unsigned queue = 8192;                   // KiB that may wait for a worker
  BusFull full = BusFull::DropOldest;      // what happens beyond
  std::map<std::string, unsigned> retain;  // pattern of topics -> messages that are kept of each
  std::vector<std::string> stream;         // patterns of topics that go through a stream of Redis, which survives a gap
  unsigned stream_length = 10'000;         // messages that the stream keeps
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
  BusConfig bus;
  std::string log_file;  // empty: our standard streams
  KeepState keep_state = KeepState::No;
  std::vector<ListenerConfig> listeners;
  std::vector<PoolConfig> pools = {PoolConfig{}};  // at least one
};

}  // namespace holdfast
