#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "config/config.h"
#include "core/bucket_table.h"
#include "core/placement_key.h"
#include "dispatcher.h"
#include "fleet_runner.h"
#include "loop/loop.h"
#include "steerer.h"
#include "wire/route_answer.h"
#include "wire/status.h"

namespace holdfast {

// Workers that run the same command, the listeners whose clients they serve, and the account of both.
class Pool {
 public:
  Pool(Loop& loop, const PoolConfig& config, HashKey hash_key, FleetRunner::Hooks hooks);

  [[nodiscard]] const std::string& name() const { return config_.name; }
  [[nodiscard]] const PoolConfig& config() const { return config_; }

  // Whether this system can do what the pool's intake needs; what is only offered is left out, and the log says so.
  [[nodiscard]] Outcome check_system();
  // Binds; before `start`. Errors: those of listen_on.
  [[nodiscard]] Outcome open_listener(const ListenerConfig& listener, int backlog);
  void start();
  // The first call closes the listeners.
  void stop(Fleet::Stop how);
  // At the end, when nobody is left to take them up: resets the connections that still wait.
  void refuse_waiting();

  // Another configuration with the same listeners, intake and plane. `roll`: every worker is replaced, and if one of the new
  // ones fails, all goes back to what was. `done` is called once.
  enum class Roll { No, Yes };
  void apply(const PoolConfig& config, Roll roll, std::function<void(Outcome)> done);

  [[nodiscard]] FleetRunner& runner() { return runner_; }
  [[nodiscard]] const FleetRunner& runner() const { return runner_; }

  // Adds its listeners, itself and its numbers.
  void add_to(Status& status) const;
  // How many of the 512 buckets go to another slot if there were so many of them.
  [[nodiscard]] unsigned would_move(unsigned slots) const {
    return moved_buckets(dispatcher_.table(), equal_shares(slots));
  }
  [[nodiscard]] RouteAnswer route(const IpAddress& address) const;
  // The slot that a key of the bus belongs to now.
  [[nodiscard]] std::optional<SlotId> slot_of_key(std::string_view key) const;

 private:
  PoolConfig config_;
  HashKey hash_key_;
  bool stopping_ = false;
  Dispatcher dispatcher_;
  Steerer steerer_;
  FleetRunner runner_;
};

}  // namespace holdfast
