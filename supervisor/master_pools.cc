// The pools come and go.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

#include "bus/bus.h"
#include "core/bucket_table.h"
#include "exit_code.h"
#include "master.h"
#include "sys/machine.h"

namespace holdfast {

namespace {

constexpr Duration kCpuPeriod = std::chrono::seconds(10);

}  // namespace

std::unique_ptr<Pool> Master::make_pool(const PoolConfig& config) {
  const auto self = std::make_shared<Pool*>(nullptr);
  FleetRunner::Hooks hooks;
  hooks.on_acted = [this] {
    service_.on_change();
    if (keeper_) keeper_->on_change();
  };
  hooks.before_acting = [this] {
    if (keeper_) keeper_->keep_now();
  };
  hooks.workers_survive_us = keeps_workers();
  hooks.on_finished = [this, self] { on_finished(**self); };
  hooks.on_give_up = [this, self](const std::string& why) { on_give_up(**self, why); };
  hooks.on_line = [this](OutputStream stream, std::string_view line) {
    (stream == OutputStream::Standard ? logging_.output() : logging_.error()).write(line);
  };
  hooks.bus = bus_.get();
  auto pool = std::make_unique<Pool>(loop_, config, config_.hash_key, std::move(hooks));
  *self = pool.get();
  return pool;
}

void Master::on_finished(Pool& pool) {
  const auto leaving = std::find_if(leaving_pools_.begin(), leaving_pools_.end(),
                                    [&](const std::unique_ptr<Pool>& other) { return other.get() == &pool; });
  if (leaving == leaving_pools_.end()) {
    finished_pools_++;
  } else {
    pool.refuse_waiting();
    forget(pool);
    // We are inside a callback of its own.
    loop_.defer([gone = std::shared_ptr<Pool>(std::move(*leaving))] {});
    leaving_pools_.erase(leaving);
  }
  if (stopping_ && finished_pools_ == pools_.size() && leaving_pools_.empty()) {
    bus_->settle([this] { finish(exit_code_); });
  }
}

void Master::on_give_up(Pool& pool, const std::string& why) {
  const bool on_trial = reload_ != nullptr && !reload_->is_decided && reload_->plan.started.contains(pool.name());
  if (on_trial || is_leaving(pool)) {
    given_up_.insert(&pool);
    return;
  }
  // A pool that has no hope takes the others with it: the machine's supervisor sees that and decides.
  spdlog::error("giving up: {}", why);
  exit_code_ = kExitCrashLoop;
  stop(Fleet::Stop::Immediate);
  on_finished(pool);
}

// The CPUs that we may use change without a word: by taskset, by the limits of a container or a unit.
void Master::follow_cpus() {
  cpus_timer_.arm(loop_.now() + kCpuPeriod);
  if (stopping_ || reload_) return;
  const unsigned cpus = std::min(usable_cpus(), kMaxSlots);
  const unsigned before = std::exchange(cpus_, cpus);
  if (before == cpus || before == 0) return;
  for (PoolConfig& config : config_.pools) {
    if (!config.workers_auto) continue;
    spdlog::info("pool {}: {} CPUs may be used, before it was {}: so many workers", config.name, cpus, before);
    config.workers = cpus;
    pool_of(config.name)->apply({config, false, {}, {}}, [](const Outcome& outcome) {
      if (!outcome) spdlog::error("follow the number of CPUs: {}", outcome.error().message());
    });
  }
}

bool Master::is_leaving(const Pool& pool) const {
  return std::any_of(leaving_pools_.begin(), leaving_pools_.end(),
                     [&](const std::unique_ptr<Pool>& leaving) { return leaving.get() == &pool; });
}

Pool* Master::take_out(const std::string& name) {
  const auto found = std::find_if(pools_.begin(), pools_.end(),
                                  [&](const std::unique_ptr<Pool>& pool) { return pool->name() == name; });
  if (found == pools_.end()) return nullptr;
  Pool* const pool = found->get();
  leaving_pools_.push_back(std::move(*found));
  pools_.erase(found);
  spdlog::info("pool {}: it is stopped and removed", name);
  bus_->on_pools_changed();
  return pool;
}

void Master::remove_pool(const std::string& name) {
  Pool* const pool = take_out(name);
  if (pool != nullptr) stop_leaving(*pool);
}

void Master::stop_leaving(Pool& pool) {
  if (!stopping_) pool.stop(Fleet::Stop::Graceful);
  if (given_up_.erase(&pool) > 0) on_finished(pool);
}

void Master::retire_pool(const std::string& name) {
  const std::set<ListenerId> handed_on = pool_of(name)->handed_on(pools_);
  Pool* const pool = take_out(name);
  pool->close_listeners(handed_on);
  pool->when_closed([this, pool] {
    loop_.defer([this, pool] {
      if (is_leaving(*pool)) stop_leaving(*pool);
    });
  });
}

void Master::forget(const Pool& pool) {
  spdlog::info("pool {}: removed", pool.name());
  Status last;
  pool.add_to(last);
  account_of_gone_.accepted += last.accepted;
  account_of_gone_.checks += last.checks;
  account_of_gone_.handed += last.handed;
  for (const auto& [reason, count] : last.refused) account_of_gone_.refused[reason] += count;
}

}  // namespace holdfast
