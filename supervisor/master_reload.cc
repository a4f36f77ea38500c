// Another configuration, while clients are served.
#include <fmt/ranges.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "bus/bus.h"
#include "exit_code.h"
#include "front_doors.h"
#include "master.h"
#include "wire/reload_answer.h"

namespace holdfast {

void Master::reload(Answer answer) {
  if (reload_) return next_reload_.push_back(std::move(answer));
  reload_ = std::make_unique<Reload>();
  reload_->answers.push_back(std::move(answer));
  service_.on_change();
  if (stopping_) return finish_reload(Failure{Error{{}, "the supervisor is stopping"}, kExitFailure});
  Result<ReloadPlan> plan = plan_of_reload();
  if (!plan) return finish_reload(Failure{plan.error(), kExitBadConfig});
  reload_->plan = *std::move(plan);
  if (const std::optional<Failure> failure = prepare(reload_->plan)) {
    abandon_preparation(reload_->plan);
    return finish_reload(Failure{Error{{}, "nothing was changed: " + failure->error.message()}, failure->exit_code});
  }
  // From here on only workers can fail.
  perform_reload();
}

Result<ReloadPlan> Master::plan_of_reload() const {
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
std::optional<Failure> Master::prepare(const ReloadPlan& plan) {
  const auto bad = [](const Error& error) { return Failure{error, kExitBadConfig}; };
  if (Outcome free = check_routes_to(plan.stopped, plan.config.listeners); !free) return bad(free.error());
  if (Outcome read = check_lists(plan.config.listeners); !read) return bad(read.error());
  for (const PoolConfig& pool : plan.config.pools) {
    if (!plan.started.contains(pool.name) && !plan.rolled.contains(pool.name)) continue;
    if (auto failure = check_command(pool)) return failure;
  }
  for (const PoolConfig& pool : plan.config.pools) {
    if (!plan.started.contains(pool.name)) continue;
    pools_.push_back(make_pool(pool));
    if (Outcome possible = pools_.back()->check_system(); !possible) return Failure{possible.error(), kExitFailure};
  }
  if (auto failure = open_coming(plan)) return failure;
  if (Outcome opened = open_front_doors(loop_, plan.opened, pools_); !opened)
    return Failure{opened.error(), kExitFailure};
  return std::nullopt;
}

std::optional<Failure> Master::open_coming(const ReloadPlan& plan) {
  for (const ListenerConfig& listener : plan.opened) {
    const std::vector<Pool::InTheWay> in_the_way = in_the_way_of(listener, plan);
    const Outcome opened = pool_of(listener.pool)->open_listener(listener, plan.config.backlog, in_the_way);
    if (opened) continue;
    const Error& error = opened.error();
    if (error.code == std::errc::address_in_use && !in_the_way.empty()) {
      const char* const advice =
          " (a listener that is to go has it: leave it its name and address, or take it out first, by a reload of "
          "its own)";
      return Failure{Error{{}, error.message() + advice}, kExitCannotBind};
    }
    return failure_to_listen(error);
  }
  return std::nullopt;
}

// Listeners that go when this one has come, and have its address, or one that covers it or is covered.
std::vector<Pool::InTheWay> Master::in_the_way_of(const ListenerConfig& listener, const ReloadPlan& plan) const {
  std::vector<Pool::InTheWay> found;
  const auto add = [&](const Pool& pool, const std::string& name) {
    for (const Pool::InTheWay& socket : pool.sockets_of(name)) {
      if (in_each_others_way(socket.address, listener.address)) found.push_back(socket);
    }
  };
  for (const ListenerConfig& closed : plan.closed) add(*pool_of(closed.pool), closed.name);
  for (const ListenerConfig& running : config_.listeners) {
    const std::string& pool = pool_name_of(running, config_);
    if (plan.stopped.contains(pool)) add(*pool_of(pool), running.name);
  }
  return found;
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
      pool.hold_back();
      pool.runner().await_serving(done);
      continue;
    }
    PoolChange change{config, plan.rolled.contains(config.name), {}, pool.handed_on(pools_)};
    for (const ListenerConfig& listener : plan.closed) {
      if (listener.pool == config.name) change.closed.insert(listener.name);
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
  for (const std::unique_ptr<Pool>& each : pools_) each->serve_held_back();
  if (--reload_->parts == 0) conclude_reload();
}

// What is to go goes last: if what is to come has failed, it stays.
void Master::conclude_reload() {
  const ReloadPlan& plan = reload_->plan;
  reload_->is_decided = true;
  const bool stays = reload_->failures.empty();
  for (const std::string& pool : plan.stopped) {
    if (stays) {
      retire_pool(pool);
    } else {
      config_ = without_change_of(pool, std::move(config_), reload_->before);
    }
  }
  if (const Outcome changed = change_front_doors(loop_, config_.listeners, pools_); !changed)
    reload_->failures.push_back(changed.error().message());  // a list was there a moment ago
  // Who hears that it is done may use the addresses.
  const auto on_closed = [this] {
    loop_.defer([this] {
      if (--reload_->parts == 0) end_reload();
    });
  };
  reload_->parts = pools_.size() + leaving_pools_.size();
  for (const std::unique_ptr<Pool>& pool : pools_) pool->when_closed(on_closed);
  for (const std::unique_ptr<Pool>& pool : leaving_pools_) pool->when_closed(on_closed);
}

void Master::end_reload() {
  if (!reload_->failures.empty()) {
    return finish_reload(
        Failure{Error{{}, fmt::format("rolled back: {}", fmt::join(reload_->failures, "; "))}, kExitFailure});
  }
  std::vector<std::string> lines = reload_->plan.applied;
  for (const std::string& change : reload_->plan.postponed) lines.push_back("not applied: " + change);
  finish_reload(lines.empty() ? std::string("nothing has changed") : fmt::format("{}", fmt::join(lines, "\n")));
}

void Master::finish_reload(const ReloadEnd& end) {
  reload_failed_ = !end.text;
  last_reload_ = end.text ? *end.text : end.text.error().message();
  spdlog::log(end.text ? spdlog::level::info : spdlog::level::err, "reload: {}", last_reload_);
  const std::unique_ptr<Reload> finished = std::move(reload_);
  service_.tell_now();
  for (const Answer& answer : finished->answers) answer(end);
  std::vector<Answer> next = std::exchange(next_reload_, {});
  if (next.empty()) return;
  reload([answers = std::move(next)](const ReloadEnd& outcome) {
    for (const Answer& answer : answers) answer(outcome);
  });
}

void Master::answer_reload(const ControlRequest& request, ControlReply reply) {
  const auto kept = std::make_shared<ControlReply>(std::move(reply));
  const auto answered = std::make_shared<bool>(false);
  const bool wait = request.is_set("wait");
  reload([kept, answered](const ReloadEnd& end) {
    if (std::exchange(*answered, true)) return;
    if (end.text) return kept->send(ControlSuccess{to_json(ReloadAnswer{*end.text, true})});
    kept->send(ControlFailure{end.text.error().message(), end.exit_code, {}});
  });
  if (!wait && !std::exchange(*answered, true)) {
    kept->send(ControlSuccess{to_json(ReloadAnswer{"the workers are being replaced", false})});
  }
}

}  // namespace holdfast
