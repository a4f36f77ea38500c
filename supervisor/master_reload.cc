// Another configuration, while clients are served.
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "bus/bus.h"
#include "exit_code.h"
#include "front_doors.h"
#include "launch.h"
#include "master.h"
#include "sys/program.h"
#include "wire/reload_answer.h"

namespace holdfast {

void Master::reload(Answer answer) {
  if (reload_) return next_reload_.push_back(std::move(answer));
  reload_ = std::make_unique<Reload>();
  reload_->answers.push_back(std::move(answer));
  service_.on_change();
  Result<ReloadPlan> plan = plan_of_reload();
  if (!plan) return finish_reload(plan.error());
  reload_->plan = *std::move(plan);
  if (const Outcome ready = prepare(reload_->plan); !ready) {
    abandon_preparation(reload_->plan);
    return finish_reload(Error{{}, "nothing was changed: " + ready.error().message()});
  }
  // From here on only workers can fail.
  perform_reload();
}

Result<ReloadPlan> Master::plan_of_reload() const {
  if (stopping_) return Error{{}, "the supervisor is stopping"};
  if (source_.file.empty()) {
    return Error{{}, "it runs without a configuration file (`holdfast run -c FILE`), so there is nothing to read anew"};
  }
  Assembled wished = load_config(source_);
  if (!wished.mistakes.empty()) {
    std::string text = "nothing was changed:";
    for (const Mistake& mistake : wished.mistakes) text += "\n" + to_text(mistake);
    return Error{{}, text};
  }
  choose_workers(wished.config);
  // What was found out at the start is not different from what the file leaves open.
  if (wished.config.name.empty()) wished.config.name = config_.name;
  if (wished.config.control_path.empty()) wished.config.control_path = config_.control_path;
  if (wished.config.hash_key == HashKey{}) wished.config.hash_key = config_.hash_key;
  return plan_reload(config_, wished.config);
}

// What may fail without a worker: programs that are not there, addresses that somebody else has.
Outcome Master::prepare(const ReloadPlan& plan) {
  if (Outcome free = check_routes_to(plan.stopped, plan.config.listeners); !free) return free;
  if (Outcome read = check_lists(plan.config.listeners); !read) return read;
  for (const PoolConfig& pool : plan.config.pools) {
    if (!plan.started.contains(pool.name) && !plan.rolled.contains(pool.name)) continue;
    if (Outcome found = check_program(pool.command.front(), pool.working_directory); !found) return found;
    if (Outcome known = check_account(pool); !known) return known;
  }
  for (const PoolConfig& pool : plan.config.pools) {
    if (!plan.started.contains(pool.name)) continue;
    pools_.push_back(make_pool(pool));
    if (Outcome possible = pools_.back()->check_system(); !possible) return possible;
  }
  for (const ListenerConfig& listener : plan.opened) {
    const Outcome opened = pool_of(listener.pool)->open_listener(listener, plan.config.backlog);
    if (opened) continue;
    const bool in_use = opened.error().code == std::errc::address_in_use;
    const bool of_ours = in_use && (!plan.closed.empty() || !plan.stopped.empty());
    const std::string advice =
        of_ours ? " (if a listener has it that is to go: take that out first, by a reload of its own)" : "";
    return Error{{}, failure_to_listen(opened.error()).error.message() + advice};
  }
  return open_front_doors(loop_, plan.opened, pools_);
}

void Master::abandon_preparation(const ReloadPlan& plan) {
  std::erase_if(pools_, [&](const std::unique_ptr<Pool>& pool) { return plan.started.contains(pool->name()); });
  for (const std::unique_ptr<Pool>& pool : pools_) pool->close_coming();
}

void Master::perform_reload() {
  const ReloadPlan& plan = reload_->plan;
  for (const std::string& change : plan.postponed) spdlog::warn("reload: not applied: {}", change);
  reload_->before = std::exchange(config_, plan.config);
  logging_.set_level(config_.log_level);
  bus_->set_config(config_.bus);
  reload_->parts = config_.pools.size();
  for (const PoolConfig& config : config_.pools) {
    const auto done = [this, name = config.name](const Outcome& outcome) {
      loop_.defer([this, name, outcome] { on_part_done(name, outcome); });
    };
    Pool& pool = *pool_of(config.name);
    pool.set_hash_key(config_.hash_key);
    if (plan.started.contains(config.name)) {
      pool.start();
      pool.runner().await_serving(done);
      continue;
    }
    PoolChange change{config, plan.rolled.contains(config.name), {}};
    for (const ListenerConfig& listener : plan.closed) {
      if (listener.pool == config.name) change.closed.push_back(listener.name);
    }
    pool.apply(std::move(change), done);
  }
}

void Master::on_part_done(const std::string& pool, const Outcome& outcome) {
  if (!outcome) {
    reload_->failures.push_back(outcome.error().message());
    config_ = without_change_of(pool, std::move(config_), reload_->before);
    if (reload_->plan.started.contains(pool)) remove_pool(pool);
  }
  if (--reload_->parts == 0) conclude_reload();
}

// What is to go goes last: if what is to come has failed, it stays.
void Master::conclude_reload() {
  const ReloadPlan& plan = reload_->plan;
  for (const std::string& pool : plan.stopped) {
    if (reload_->failures.empty()) {
      remove_pool(pool);
    } else {
      config_ = without_change_of(pool, std::move(config_), reload_->before);
    }
  }
  if (const Outcome changed = change_front_doors(loop_, config_.listeners, pools_); !changed)
    reload_->failures.push_back(changed.error().message());  // a list was there a moment ago
  if (!reload_->failures.empty()) {
    return finish_reload(Error{{}, fmt::format("rolled back: {}", fmt::join(reload_->failures, "; "))});
  }
  std::vector<std::string> lines = plan.applied;
  for (const std::string& change : plan.postponed) lines.push_back("not applied: " + change);
  finish_reload(lines.empty() ? "nothing has changed" : fmt::format("{}", fmt::join(lines, "\n")));
}

void Master::finish_reload(const Result<std::string>& result) {
  reload_failed_ = !result;
  last_reload_ = result ? *result : result.error().message();
  spdlog::log(result ? spdlog::level::info : spdlog::level::err, "reload: {}", last_reload_);
  const std::unique_ptr<Reload> finished = std::move(reload_);
  service_.tell_now();
  for (const Answer& answer : finished->answers) answer(result);
  std::vector<Answer> next = std::exchange(next_reload_, {});
  if (next.empty()) return;
  reload([answers = std::move(next)](const Result<std::string>& outcome) {
    for (const Answer& answer : answers) answer(outcome);
  });
}

void Master::answer_reload(const ControlRequest& request, ControlReply reply) {
  const auto kept = std::make_shared<ControlReply>(std::move(reply));
  const auto answered = std::make_shared<bool>(false);
  const bool wait = request.is_set("wait");
  reload([kept, answered](const Result<std::string>& result) {
    if (std::exchange(*answered, true)) return;
    if (result) return kept->send(ControlSuccess{to_json(ReloadAnswer{*result, true})});
    kept->send(ControlFailure{result.error().message(), kExitBadConfig, {}});
  });
  if (!wait && !std::exchange(*answered, true)) {
    kept->send(ControlSuccess{to_json(ReloadAnswer{"the workers are being replaced", false})});
  }
}

}  // namespace holdfast
