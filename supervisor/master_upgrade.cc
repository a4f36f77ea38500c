#include <spdlog/spdlog.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "bus/bus.h"
#include "config/config_text.h"
#include "config/diff.h"
#include "exit_code.h"
#include "front_doors.h"
#include "listener/census.h"
#include "master.h"
#include "sys/machine.h"
#include "sys/next_program.h"
#include "sys/sockets.h"
#include "sys/stream.h"
#include "wire/upgrade_answer.h"

namespace holdfast {

namespace {

// How often it is looked whether those are done who wait for a reload, a restart or another size.
constexpr Duration kLookAgain = std::chrono::milliseconds(50);

}  // namespace

Master::Master(Takeover takeover, ConfigSource source) : Master(takeover.config, std::move(source)) {
  takeover_ = std::move(takeover);
}

void Master::answer_upgrade(const ControlRequest& request, ControlReply reply) {
  Upgrade upgrade;
  upgrade.binary = request.text("binary").value_or("");
  upgrade.wait = request.is_set("wait");
  upgrade.reply.emplace(std::move(reply));
  begin_upgrade(std::move(upgrade));
}

void Master::begin_upgrade(Upgrade upgrade) {
  const auto refuse = [&](const std::string& why) {
    spdlog::error("upgrade: {}", why);
    if (upgrade.reply) upgrade.reply->send(ControlFailure{why, kExitFailure, {}});
  };
  if (stopping_) return refuse("the supervisor is stopping");
  if (upgrade_) return refuse("another upgrade is under way");
  if (upgrade.binary.empty()) {
    Result<std::string> own = own_program();
    if (!own) return refuse(own.error().message());
    upgrade.binary = *std::move(own);
  }
  upgrade_.emplace(std::move(upgrade));
  check_next_program();
}

std::string Master::what_changes() const {
  for (const std::unique_ptr<Pool>& pool : pools_) {
    if (const std::string_view what = pool->runner().what_changes(); !what.empty()) {
      return "pool " + pool->name() + ": " + std::string(what);
    }
  }
  if (!leaving_pools_.empty()) return "pool " + leaving_pools_.front()->name() + " is to go and has workers";
  return reload_ ? "a reload is under way" : "";
}

// Whether it must wait; for what is told whenever that is something else.
bool Master::upgrade_waits() {
  std::string what = what_changes();
  const bool waits = !what.empty();
  if (waits && what != upgrade_->waits_for) spdlog::info("upgrade: waiting: {}", what);
  upgrade_->waits_for = std::move(what);
  return waits;
}

void Master::check_next_program() {
  if (!upgrade_) return;
  if (stopping_) return end_upgrade(Error{{}, "the supervisor is stopping"});
  if (upgrade_waits()) return upgrade_timer_.arm(loop_.now() + kLookAgain);
  FdList fds;
  const Result<SavedState> state = snapshot(fds, SavedFor::Upgrade);
  if (!state) return end_upgrade(state.error());
  const Result<UniqueFd> text = sealed_text(encode(*state));
  if (!text) return end_upgrade(text.error());
  Result<std::vector<std::string>> arguments = own_arguments();
  if (!arguments) return end_upgrade(arguments.error());
  if (!arguments->empty()) arguments->erase(arguments->begin());
  Result<std::unique_ptr<UpgradeCheck>> check = UpgradeCheck::start(
      loop_, upgrade_->binary, *arguments, *text, [this](const Outcome& outcome) { on_checked(outcome); });
  if (!check) return end_upgrade(check.error());
  upgrade_->check = *std::move(check);
}

void Master::on_checked(const Outcome& outcome) {
  // We are inside the callback of the check's own watcher.
  loop_.defer([kept = std::shared_ptr<UpgradeCheck>(std::move(upgrade_->check))] {});
  if (!outcome) return end_upgrade(outcome.error());
  upgrade_->checked = true;
  loop_.stop();
}

void Master::end_upgrade(const Error& why) {
  spdlog::error("upgrade: {}: this program serves on", why.message());
  Upgrade failed = *std::exchange(upgrade_, std::nullopt);
  upgrade_timer_.disarm();
  for (const std::unique_ptr<Pool>& pool : pools_) pool->runner().resume_checks();
  if (failed.reply) failed.reply->send(ControlFailure{why.message(), kExitFailure, {}});
}

void Master::become_next_program() {
  const SignalsHeld held(kHeard);
  loop_.poll();  // what was heard or deferred until now
  if (stopping_) return end_upgrade(Error{{}, "the supervisor is stopping"});
  upgrade_->checked = false;
  // A command that checks is a child that the next program would not know.
  for (const std::unique_ptr<Pool>& pool : pools_) pool->runner().pause_checks();
  if (!what_changes().empty()) return check_next_program();
  for (const std::unique_ptr<Pool>& pool : pools_) pool->let_all_in();
  for (const std::unique_ptr<Pool>& pool : pools_) pool->runner().catch_up();
  Result<std::vector<std::string>> arguments = own_arguments();
  if (!arguments) return end_upgrade(arguments.error());
  FdList fds;
  Result<SavedState> state = snapshot(fds, SavedFor::Upgrade);
  if (!state) return end_upgrade(state.error());
  if (upgrade_->reply && upgrade_->wait) {
    state->waiting = fds.add("client", upgrade_->reply->connection());
    state->numbers.insert(fds.numbers().begin(), fds.numbers().end());
  }
  if (keeper_) keeper_->save(*state, fds);
  const Result<UniqueFd> text = sealed_text(encode(*state));
  if (!text) return end_upgrade(text.error());
  if (upgrade_->reply && !upgrade_->wait) {
    std::exchange(upgrade_->reply, std::nullopt)->send(ControlSuccess{to_json(UpgradeAnswer{false, "", epoch_})});
  }
  spdlog::info("upgrade: becoming {}", upgrade_->binary);
  logging_.flush();
  std::vector<BorrowedFd> inherited;
  for (const auto& [name, fd] : state->numbers) inherited.emplace_back(static_cast<int>(fd));
  end_upgrade(become(upgrade_->binary, *arguments, *text, inherited));
}

Result<SavedState> Master::snapshot(FdList& fds, SavedFor what) const {
  const Config config = config_of_pools();
  SavedState state;
  state.version = HOLDFAST_VERSION;
  Result<std::string> boot = boot_id();
  if (!boot) return std::move(boot).error();
  state.boot = *std::move(boot);
  state.pid = ::getpid();
  state.epoch = epoch_;
  state.name = config.name;
  state.config = config_text(config);
  // What does not come back from its text would be another configuration after the upgrade, and nobody would have chosen it.
  const Result<Config> again = config_of_text(state.config);
  if (!again) return Error{{}, "write down the configuration in force: " + again.error().message()};
  if (const std::vector<Change> lost = differences(config, *again); !lost.empty()) {
    return Error{{}, "write down the configuration in force: " + to_text(lost.front()) + " would be lost"};
  }
  state.started = started_;
  state.open_files = original_open_file_limit();
  state.last_reload = last_reload_;
  state.reload_failed = reload_failed_;
  state.gone_accepted = account_of_gone_.accepted;
  state.gone_checks = account_of_gone_.checks;
  state.gone_handed = account_of_gone_.handed;
  state.gone_refused = account_of_gone_.refused;
  state.control = fds.add("control", control_->socket());
  for (const std::unique_ptr<Pool>& pool : pools_) state.pools.push_back(pool->save(fds, what));
  Result<SavedBus> bus = bus_->save(fds, what == SavedFor::Upgrade ? Bus::Messages::Saved : Bus::Messages::Left);
  if (!bus) return std::move(bus).error();
  state.bus = *std::move(bus);
  const auto& members = state.bus.members;
  const bool is_used = std::any_of(members.begin(), members.end(), [](const SavedMember& one) { return one.joined; });
  if (is_used) state.needs.emplace_back(kNeedsBus);
  state.numbers.insert(fds.numbers().begin(), fds.numbers().end());
  return state;
}

// Those of a reload that are to go stay until the others have come.
Config Master::config_of_pools() const {
  Config config = config_;
  for (const std::unique_ptr<Pool>& pool : pools_) {
    if (!reload_ || pool_named(config, pool->name()) != nullptr) continue;
    config = without_change_of(pool->name(), std::move(config), reload_->before);
  }
  return config;
}

std::optional<Failure> Master::take_over() {
  SavedState& state = takeover_->state;
  const bool was_killed = kept_.has_value();
  const auto failed = [](const Error& why) { return Failure{why, kExitFailure}; };
  if (state.open_files) set_original_open_file_limit(*state.open_files);
  listen_to_signals();
  if (const Outcome made = make_bus(); !made) return failed(made.error());
  for (const SavedPool& pool : state.pools) {  // in the order of their coming; read_takeover has seen their names
    pools_.push_back(make_pool(*pool_named(config_, pool.name)));
    if (Outcome adopted = pools_.back()->adopt(pool, takeover_->fds); !adopted) {
      return failed(adopted.error());
    }
  }
  if (auto failure = add_pools_not_saved()) return failure;
  if (Outcome opened = open_front_doors(loop_, config_.listeners, pools_); !opened) return failed(opened.error());
  Result<UniqueFd> control = takeover_->fds.take(state.control);
  if (!control) return failed(control.error());
  control_ = ControlServer::adopt(
      loop_, config_.control_path, *std::move(control),
      [this](ControlRequest request, ControlReply reply) { on_control(std::move(request), std::move(reply)); });
  if (!was_killed) take_over_keeping();
  started_ = state.started;
  epoch_ = state.epoch + (was_killed ? 0 : 1);
  account_of_gone_.accepted = state.gone_accepted;
  account_of_gone_.checks = state.gone_checks;
  account_of_gone_.handed = state.gone_handed;
  account_of_gone_.refused = state.gone_refused;
  last_reload_ = state.last_reload;
  reload_failed_ = state.reload_failed;
  if (was_killed) recover();
  resume();
  return std::nullopt;
}

void Master::resume() {
  SavedState& state = takeover_->state;
  std::size_t workers = 0;
  for (const SavedPool& pool : state.pools) workers += pool.workers.size();
  spdlog::info("holdfast {} '{}' pid {} takes over from {}: {} worker{}, epoch {}", HOLDFAST_VERSION, config_.name,
               ::getpid(), state.version, workers, workers == 1 ? "" : "s", epoch_);
  for (const std::unique_ptr<Pool>& pool : pools_) {
    const auto same = [&pool](const SavedPool& saved) { return saved.name == pool->name(); };
    const bool saved = std::any_of(state.pools.begin(), state.pools.end(), same);
    if (saved) {
      pool->resume();
    } else {
      pool->start();
    }
  }
  bus_->resume();
  follow_cpus();
  begin_keeping();  // before anybody hears that it is done: who kills us then finds it done
  if (const UniqueFd client = takeover_->fds.take_if_there(state.waiting)) {
    // It is the only answer on a fresh connection, so there is room for it; a client that has left does not hear it.
    (void)send_some(client, encode(ControlSuccess{to_json(UpgradeAnswer{true, HOLDFAST_VERSION, epoch_})}));
  }
  takeover_.reset();
  release_signals(kHeard);
}

}  // namespace holdfast
