#include "master.h"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "bus/bus.h"
#include "core/ip_address.h"
#include "core/stop_signals.h"
#include "exit_code.h"
#include "front_doors.h"
#include "launch.h"
#include "route_question.h"
#include "status_processes.h"
#include "sys/control_path.h"
#include "sys/environment.h"
#include "sys/machine.h"
#include "sys/next_program.h"
#include "sys/own_code.h"
#include "sys/program.h"
#include "wire/scale_answer.h"

namespace holdfast {

namespace {

bool is(const Error& error, std::errc code) { return error.code == code; }

std::string default_name(const std::vector<std::string>& command) {
  std::string name = std::filesystem::path(command.front()).filename().string();
  std::replace_if(
      name.begin(), name.end(),
      [](char c) { return !std::isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-'; }, '_');
  return name.empty() || name.front() == '.' || name.front() == '-' ? "holdfast" : name;
}

}  // namespace

const std::vector<int> Master::kHeard = {SIGTERM, SIGINT,   SIGQUIT, SIGHUP, SIGUSR1,
                                         SIGUSR2, SIGWINCH, SIGTTIN, SIGTTOU};

Master::Master(Config config, ConfigSource source)
    : config_(std::move(config)),
      source_(std::move(source)),
      logging_(loop_, config_.log_level),
      service_(loop_, [this] { return service_state(); }),
      started_(loop_.now()),
      cpus_timer_(loop_, [this] { follow_cpus(); }),
      upgrade_timer_(loop_, [this] { check_next_program(); }) {
  ignore_broken_pipes();
  if (config_.name.empty()) config_.name = default_name(config_.pools.front().command);
}

Master::~Master() = default;

int Master::run() {
  if (const std::optional<Failure> failure = start()) {
    std::fprintf(stderr, "holdfast: %s\n", failure->error.message().c_str());
    return failure->exit_code;
  }
  forget_used_code();
  loop_.run();
  // Outside of every callback: what is saved there is whole.
  while (upgrade_ && upgrade_->checked) {
    become_next_program();
    if (!finished_) loop_.run();
  }
  hold_signals(kHeard);  // our sockets are still to be removed
  return exit_code_;
}

std::optional<Failure> Master::start() {
  if (auto failure = open_log()) {
    if (!takeover_) return failure;
    spdlog::error("{}: the log goes to the standard error output", failure->error.message());  // there is no way back
  }
  if (const Result<std::uint64_t> limit = raise_open_file_limit(); !limit) spdlog::warn("{}", limit.error().message());
  if (takeover_) {
    auto failure = take_over();
    if (failure && kept_) give_up(*kept_, failure->error);
    return failure;
  }
  for (const PoolConfig& pool : config_.pools) {
    if (auto failure = check_command(pool)) return failure;
  }
  // From here on no signal ends us before socket files can be removed: it is heard when the loop runs.
  listen_to_signals();
  if (auto failure = choose_hash_key()) return failure;
  if (const Outcome made = make_bus(); !made) return Failure{made.error(), kExitFailure};
  for (const PoolConfig& pool : config_.pools) {
    pools_.push_back(make_pool(pool));
  }
  for (const std::unique_ptr<Pool>& pool : pools_) {
    if (Outcome possible = pool->check_system(); !possible) return Failure{possible.error(), kExitFailure};
  }
  if (Outcome read = check_lists(config_.listeners); !read) return Failure{read.error(), kExitFailure};
  end_leftovers();
  if (auto failure = open_listeners()) return failure;
  if (Outcome opened = open_front_doors(loop_, config_.listeners, pools_); !opened)
    return Failure{opened.error(), kExitFailure};
  if (auto failure = open_control()) return failure;
  // From here on the process is a supervisor: what fails is reported, retried or counted, and does not end it.
  if (no_lasting_key_) {
    spdlog::warn("{}: a random one is used, so that the next start places clients anew (to keep them: --hash-key)",
                 no_lasting_key_->message());
  }
  start_workers();
  begin_keeping();
  return std::nullopt;
}

std::optional<Failure> Master::open_log() {
  if (config_.log_file.empty()) return std::nullopt;
  const Outcome opened = logging_.write_to(config_.log_file);
  if (opened) return std::nullopt;
  const bool forbidden = is(opened.error(), std::errc::permission_denied);
  return Failure{opened.error(), forbidden ? kExitPermission : kExitFailure};
}

void Master::listen_to_signals() {
  signals_.emplace(loop_, kHeard, [this](int signal) { on_signal(signal); });
}

std::optional<Failure> Master::check_command(const PoolConfig& pool) {
  if (const Outcome found = check_program(pool.command.front(), pool.working_directory); !found) {
    const bool forbidden = is(found.error(), std::errc::permission_denied);
    const std::string advice =
        forbidden ? " (make it executable: chmod +x)" : " (give a path, or a name that is in PATH)";
    return Failure{Error{{}, found.error().message() + advice}, forbidden ? kExitPermission : kExitBadConfig};
  }
  if (const Outcome cpus = check_cpus(pool.cpus); !cpus) return Failure{cpus.error(), kExitBadConfig};
  if (const Outcome known = check_account(pool); !known) {
    const bool forbidden = is(known.error(), std::errc::operation_not_permitted);
    const std::string advice = forbidden ? " (only root may; leave out user and group, or start holdfast as root)" : "";
    return Failure{Error{{}, known.error().message() + advice}, forbidden ? kExitPermission : kExitBadConfig};
  }
  return std::nullopt;
}

std::optional<Failure> Master::open_listeners() {
  for (const ListenerConfig& listener : config_.listeners) {
    if (auto failure = open_listener(listener)) return failure;
  }
  if (const Outcome taken = activation_.check_all_taken(); !taken) return Failure{taken.error(), kExitBadConfig};
  return std::nullopt;
}

std::optional<Failure> Master::open_listener(const ListenerConfig& listener) {
  if (std::holds_alternative<ActivatedAddress>(listener.address)) return take_activated(listener);
  const Outcome opened = pool_of(listener.pool)->open_listener(listener, config_.backlog);
  if (!opened) return failure_to_listen(opened.error());
  return std::nullopt;
}

std::optional<Failure> Master::take_activated(const ListenerConfig& listener) {
  Result<std::vector<ListeningSocket>> sockets = activation_.take(std::get<ActivatedAddress>(listener.address));
  if (!sockets) return Failure{{{}, "listener " + listener.name + ": " + sockets.error().message()}, kExitCannotBind};
  for (ListeningSocket& socket : *sockets) {
    const Outcome taken = pool_of(listener.pool)->take_listener(listener, std::move(socket), config_.backlog);
    if (!taken) return Failure{{{}, "listener " + listener.name + ": " + taken.error().message()}, kExitCannotBind};
  }
  return std::nullopt;
}

Failure Master::failure_to_listen(const Error& error) {
  std::string advice;
  if (is(error, std::errc::address_in_use))
    advice = " (another process listens there: stop it or choose another address)";
  if (is(error, std::errc::address_not_available)) advice = " (no interface of this machine has the address)";
  if (is(error, std::errc::no_such_file_or_directory)) advice = " (make the directory first)";
  const bool forbidden = is(error, std::errc::permission_denied) || is(error, std::errc::operation_not_permitted);
  if (forbidden)
    advice =
        " (ports below 1024 need CAP_NET_BIND_SERVICE; a path needs a directory that may be written, and only root "
        "gives it to others)";
  return Failure{Error{{}, error.message() + advice}, forbidden ? kExitPermission : kExitCannotBind};
}

std::optional<Failure> Master::open_control() {
  if (config_.control_path.empty()) {
    const ControlHome home = control_home();
    const std::string directory = control_directory(home);
    if (const Outcome made = make_control_directory(directory, home.user); !made) {
      return Failure{Error{{}, made.error().message() + " (choose another place with --control PATH)"},
                     kExitPermission};
    }
    Result<std::string> path = control_path(directory, config_.name);
    if (!path) return Failure{path.error(), kExitUsage};
    config_.control_path = *std::move(path);
  }
  Result<std::unique_ptr<ControlServer>> server = ControlServer::create(
      loop_, config_.control_path,
      [this](ControlRequest request, ControlReply reply) { on_control(std::move(request), std::move(reply)); });
  if (!server) {
    const Error& error = server.error();
    std::string advice = " (choose another place with --control PATH)";
    if (is(error, std::errc::address_in_use)) {
      advice = " (a supervisor named '" + config_.name +
               "' runs already: choose another name with --name, or stop it with `holdfast stop`)";
    }
    return Failure{Error{{}, "control socket: " + error.message() + advice},
                   is(error, std::errc::permission_denied) ? kExitPermission : kExitCannotBind};
  }
  control_ = *std::move(server);
  return std::nullopt;
}

std::optional<Failure> Master::choose_hash_key() {
  if (config_.hash_key != HashKey{}) return std::nullopt;
  Result<HashKey> key = machine_hash_key();
  if (!key) {
    no_lasting_key_ = key.error();
    key = random_hash_key();
    if (!key) return Failure{Error{key.error().code, key.error().doing + " (give one with --hash-key)"}, kExitFailure};
  }
  config_.hash_key = *key;
  return std::nullopt;
}

void Master::start_workers() {
  unsigned workers = 0;
  for (const std::unique_ptr<Pool>& pool : pools_) {
    pool->start();
    workers += pool->config().workers;
  }
  follow_cpus();
  spdlog::info("holdfast {} '{}' pid {}: {} worker{}, control socket {}", HOLDFAST_VERSION, config_.name, getpid(),
               workers, workers == 1 ? "" : "s", config_.control_path);
}

Pool* Master::pool_of(std::string_view name) const {
  if (name.empty()) return pools_.front().get();
  for (const std::unique_ptr<Pool>& pool : pools_) {
    if (pool->name() == name) return pool.get();
  }
  return nullptr;
}

void Master::on_signal(int signal) {
  switch (signal) {
    case SIGTERM:
    case SIGINT:
      on_stop_signal();
      return;
    case SIGQUIT:
      stop(Fleet::Stop::Immediate);
      return;
    case SIGHUP:
      return reload([](const ReloadEnd&) {});
    case SIGUSR1:
      return logging_.reopen();
    case SIGTTIN:
    case SIGTTOU:
      return change_size(signal == SIGTTIN ? 1 : -1);
    case SIGWINCH:
      // By this the terminal says that its window has another size.
      return has_terminal() ? spdlog::debug("SIGWINCH is the terminal's: ignored") : drain_all();
    case SIGUSR2:
      return begin_upgrade({});
    default:
      spdlog::warn("{} has no meaning yet and is ignored", signal_name(signal));
  }
}

void Master::on_stop_signal() {
  const TimePoint now = loop_.now();
  if (signalled_) {
    if (is_second_signal(*signalled_, now)) stop(Fleet::Stop::Immediate);
    return;
  }
  // After `holdfast stop` the first signal is no second one: service managers send it as soon as the command returns.
  signalled_ = now;
  stop(Fleet::Stop::Graceful);
}

// The first pool: signals cannot name one.
void Master::change_size(int change) {
  Pool& pool = *pools_.front();
  const int size = static_cast<int>(pool.runner().slots()) + change;
  if (size < 1 || size > static_cast<int>(kMaxSlots)) {
    return spdlog::warn("pool {}: a pool has 1 to {} slots, not {}", pool.name(), kMaxSlots, size);
  }
  pool.runner().set_size(static_cast<unsigned>(size), [](const Outcome& outcome) {
    if (!outcome) spdlog::error("change the number of slots: {}", outcome.error().message());
  });
}

void Master::drain_all() {
  for (const std::unique_ptr<Pool>& pool : pools_) {
    for (std::uint32_t slot = 0; slot < pool->runner().slots(); slot++) {
      pool->runner().set_drained(SlotId{slot}, true, [](const Outcome&) {});
    }
  }
}

void Master::stop(Fleet::Stop how) {
  spdlog::info("stopping {}", how == Fleet::Stop::Immediate
                                  ? "at once"
                                  : "gracefully: workers drain, a second signal ends them at once");
  stopping_ = true;
  service_.on_change();
  for (const std::unique_ptr<Pool>& pool : pools_) pool->stop(how);
  for (const std::unique_ptr<Pool>& pool : leaving_pools_) pool->stop(how);
}

void Master::finish(int exit_code) {
  finished_ = true;
  if (keeper_) keeper_->forget();
  exit_code_ = exit_code;
  for (ControlReply& reply : waiting_for_stop_) reply.send(ControlSuccess{"{\"stopped\":true}"});
  waiting_for_stop_.clear();
  for (const std::unique_ptr<Pool>& pool : pools_) pool->refuse_waiting();
  for (const std::unique_ptr<Pool>& pool : leaving_pools_) pool->refuse_waiting();
  const Status account = status();
  std::uint64_t refused = 0;
  for (const auto& [reason, count] : account.refused) refused += count;
  spdlog::info("stopped: {} connections accepted, {} handed to workers, {} refused", account.accepted, account.handed,
               refused);
  loop_.stop();
}

void Master::on_control(ControlRequest request, ControlReply reply) {
  for (const std::unique_ptr<Pool>& pool : pools_) pool->runner().catch_up();
  if (request.verb == "status") return answer_status(request, std::move(reply));
  if (request.verb == "route") return answer_route(request, std::move(reply));
  if (request.verb == "clients") return answer_clients(request, std::move(reply));
  if (request.verb == "restart") return answer_restart(request, std::move(reply));
  if (request.verb == "reload") return answer_reload(request, std::move(reply));
  if (request.verb == "scale") return answer_scale(request, std::move(reply));
  if (request.verb == "drain") return answer_drain(request, std::move(reply), true);
  if (request.verb == "undrain") return answer_drain(request, std::move(reply), false);
  if (request.verb == "publish") return answer_publish(request, std::move(reply));
  if (request.verb == "emit") return answer_emit(request, std::move(reply));
  if (request.verb == "tail") return answer_tail(request, std::move(reply));
  if (request.verb == "upgrade") return answer_upgrade(request, std::move(reply));
  if (request.verb == "stop") return answer_stop(request, std::move(reply));
  reply.send(ControlFailure{"this supervisor knows no verb '" + request.verb + "'", kExitUsage, {}});
}

void Master::answer_status(const ControlRequest& request, ControlReply reply) const {
  Status answer = status();
  if (request.is_set("processes")) look_at_processes(answer);
  reply.send(ControlSuccess{to_json(answer)});
}

// The pool that a request names, or the only one.
Result<Pool*> Master::pool_of(const ControlRequest& request) const {
  const std::optional<std::string> name = request.text("pool");
  if (Pool* pool = pool_of(name.value_or("")); pool != nullptr) return pool;
  std::string names;
  for (const std::unique_ptr<Pool>& pool : pools_) names += (names.empty() ? "" : ", ") + pool->name();
  return Error{{}, "there is no pool '" + *name + "': there is " + names};
}

void Master::answer_route(const ControlRequest& request, ControlReply reply) const {
  const Result<RouteAnswer> answer = holdfast::answer_route(request, config_.listeners, pools_);
  if (!answer) return reply.send(ControlFailure{answer.error().message(), kExitUsage, {}});
  reply.send(ControlSuccess{to_json(*answer)});
}

void Master::answer_clients(const ControlRequest& request, ControlReply reply) const {
  const Result<ClientsAnswer> answer = holdfast::answer_clients(request, config_.listeners, pools_);
  if (!answer) return reply.send(ControlFailure{answer.error().message(), kExitUsage, {}});
  reply.send(ControlSuccess{to_json(*answer)});
}

// The slot that a request names in the pool, or nothing if it names none.
Result<std::optional<SlotId>> Master::slot_of(const ControlRequest& request, const Pool& pool) const {
  const std::optional<std::int64_t> number = request.number("slot");
  if (!number) return std::optional<SlotId>();
  if (pools_.size() > 1 && !request.text("pool")) {
    std::string slots;
    for (const std::unique_ptr<Pool>& each : pools_) {
      slots += (slots.empty() ? "" : " or ") + each->name() + "/" + std::to_string(*number);
    }
    return Error{{}, "there are several pools: say which one, " + slots};
  }
  const unsigned slots = pool.runner().slots();
  if (*number >= 0 && *number < slots) return std::optional(SlotId{static_cast<std::uint32_t>(*number)});
  return Error{{}, "there is no slot " + std::to_string(*number) + ": slots are 0 to " + std::to_string(slots - 1)};
}

// Answers a request that is done when `parts` have said so: at the end if it waits, else at once.
Master::Done Master::answer_when_done(const ControlRequest& request, ControlReply reply, std::size_t parts,
                                      std::string begun, std::string done) {
  struct Answer {
    ControlReply reply;
    std::size_t parts;
    bool given;
  };
  const auto answer = std::make_shared<Answer>(Answer{std::move(reply), parts, !request.is_set("wait")});
  if (answer->given) answer->reply.send(ControlSuccess{std::move(begun)});
  return [answer, done = std::move(done)](const Outcome& outcome) {
    if (answer->given || (outcome && --answer->parts > 0)) return;
    answer->given = true;
    if (outcome) {
      answer->reply.send(ControlSuccess{done});
    } else {
      answer->reply.send(ControlFailure{outcome.error().message(), kExitFailure, {}});
    }
  };
}

void Master::answer_restart(const ControlRequest& request, ControlReply reply) {
  const Result<Pool*> named = pool_of(request);
  if (!named) return reply.send(ControlFailure{named.error().message(), kExitUsage, {}});
  const Result<std::optional<SlotId>> slot = slot_of(request, **named);
  if (!slot) return reply.send(ControlFailure{slot.error().message(), kExitUsage, {}});
  std::vector<Pool*> renewed;
  for (const std::unique_ptr<Pool>& pool : pools_) {
    // Without a name and a slot it is everybody.
    if (pool.get() == *named || (!*slot && !request.text("pool"))) renewed.push_back(pool.get());
  }
  const Done done =
      answer_when_done(request, std::move(reply), renewed.size(), "{\"restarting\":true}", "{\"restarted\":true}");
  for (Pool* pool : renewed) pool->runner().renew(*slot, done);
}

void Master::answer_scale(const ControlRequest& request, ControlReply reply) {
  const Result<Pool*> pool = pool_of(request);
  if (!pool) return reply.send(ControlFailure{pool.error().message(), kExitUsage, {}});
  const std::int64_t size = request.number("size").value_or(0);
  if (size < 1 || size > kMaxSlots) {
    const std::string bounds = "a pool has 1 to " + std::to_string(kMaxSlots) + " slots";
    return reply.send(ControlFailure{bounds + ", not " + std::to_string(size), kExitUsage, {}});
  }
  const auto slots = static_cast<unsigned>(size);
  ScaleAnswer answer;
  answer.pool = (*pool)->name();
  answer.slots = slots;
  answer.moved_buckets = (*pool)->would_move(slots);
  answer.buckets = kBuckets;
  if (const std::optional<MovedClients> clients = (*pool)->would_move_clients(slots)) {
    answer.clients = clients->seen;
    answer.moved_clients = clients->moved;
  }
  if (request.is_set("dry_run")) return reply.send(ControlSuccess{to_json(answer)});
  const std::string begun = to_json(answer);
  answer.scaled = true;
  const Done done = answer_when_done(request, std::move(reply), 1, begun, to_json(answer));
  (*pool)->runner().set_size(slots, done);
}

void Master::answer_drain(const ControlRequest& request, ControlReply reply, bool drained) {
  const Result<Pool*> pool = pool_of(request);
  if (!pool) return reply.send(ControlFailure{pool.error().message(), kExitUsage, {}});
  const Result<std::optional<SlotId>> slot = slot_of(request, **pool);
  if (!slot) return reply.send(ControlFailure{slot.error().message(), kExitUsage, {}});
  if (!*slot) return reply.send(ControlFailure{"name the slot", kExitUsage, {}});
  const Done done =
      answer_when_done(request, std::move(reply), 1, drained ? "{\"draining\":true}" : "{\"filling\":true}",
                       drained ? "{\"drained\":true}" : "{\"filled\":true}");
  (*pool)->runner().set_drained(**slot, drained, done);
}

void Master::answer_stop(const ControlRequest& request, ControlReply reply) {
  if (request.is_set("wait")) {
    waiting_for_stop_.push_back(std::move(reply));
  } else {
    reply.send(ControlSuccess{"{\"stopping\":true}"});
  }
  if (!stopping_) stop(Fleet::Stop::Graceful);
}

ServiceState Master::service_state() const {
  ServiceState state;
  if (reload_) state.phase = ServiceState::Phase::Reloading;
  if (stopping_) state.phase = exit_code_ == kExitOk ? ServiceState::Phase::Stopping : ServiceState::Phase::GivingUp;
  state.every_pool_serves = true;
  for (const std::unique_ptr<Pool>& pool : pools_) {
    state.serving += pool->runner().serving();
    state.slots += pool->runner().slots();
    state.every_pool_serves &= pool->runner().serving() > 0;
  }
  if (reload_failed_) state.trouble = last_reload_;
  return state;
}

Status Master::status() const {
  Status status = account_of_gone_;
  status.name = config_.name;
  status.version = HOLDFAST_VERSION;
  status.pid = getpid();
  status.epoch = epoch_;
  status.uptime = loop_.now() - started_;
  status.state = stopping_ ? "stopping" : "running";
  status.last_reload = last_reload_;
  status.reload_failed = reload_failed_;
  for (const std::unique_ptr<Pool>& pool : pools_) pool->add_to(status);
  for (const std::unique_ptr<Pool>& pool : leaving_pools_) pool->add_to(status);
  if (bus_) status.bus = bus_->status();
  return status;
}

}  // namespace holdfast
