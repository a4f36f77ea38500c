#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "config/config.h"
#include "core/health.h"
#include "core/ids.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sys/spawn.h"
#include "worker/connection_sink.h"
#include "worker/health_check.h"

namespace holdfast {

// Checks one worker again and again, as core/health.h decides, and tells what that comes to.
class HealthWatch {
 public:
  struct Hooks {
    std::function<void(Connection)> give;  // a connection to the worker, and to nobody else
    // How many connections the worker's inbox has had taken up by now, and how many wait in it.
    std::function<ConnectionSink::Account()> account;
    std::function<Result<SpawnPlan>()> plan_command;
    std::function<void(Health::State state, const std::string& why)> on_verdict;
    std::function<void(const std::string& what)> on_cannot_check;  // through no fault of the worker
    std::function<void(std::unique_ptr<CommandCheck>)> bury;  // one that was killed: it is to live until it has ended
  };
  // `pool` is borrowed and counts as it is at the moment. Must not be destroyed from inside a hook.
  HealthWatch(Loop& loop, const PoolConfig& pool, SlotId slot, WorkerId worker, Hooks hooks);
  ~HealthWatch();
  HealthWatch(const HealthWatch&) = delete;
  HealthWatch& operator=(const HealthWatch&) = delete;

  // The connection of the check was read back from the inbox: that says nothing of the worker.
  void on_taken_back();
  // The configuration has changed in place.
  void on_policy_changed() { settle(); }

  [[nodiscard]] Health::State state() const { return health_.state(); }
  [[nodiscard]] const std::string& last_result() const {
    return last_result_;
  }  // empty before the first check has ended

 private:
  void settle();
  void begin();
  void begin_http();
  void begin_command();
  void on_checked(const CheckResult& result);
  void abandon();
  void drop_check();
  void arm();

  Loop& loop_;
  const PoolConfig& pool_;
  const SlotId slot_;
  const WorkerId worker_;
  Hooks hooks_;
  Health health_;
  std::uint64_t checks_ = 0;
  std::optional<std::uint64_t>
      taken_up_at_;  // the account's `taken` from which on the last check's connection is taken up
  std::string last_result_;
  std::unique_ptr<HttpCheck> http_;
  std::unique_ptr<CommandCheck> command_;
  bool concluded_ = false;  // the check has a result and is to be dropped
  Timer timer_;
};

// Connections of checks among those that are read back from an inbox.
[[nodiscard]] bool is_of_check(const ConnectionRecord& record);
[[nodiscard]] WorkerId checked_worker(const ConnectionRecord& record);

}  // namespace holdfast
