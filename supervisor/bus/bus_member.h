#pragma once

#include <cstdint>
#include <optional>
#include <utility>

#include "core/fleet_machines.h"
#include "core/topic.h"
#include "sys/unique_fd.h"

namespace holdfast {

class Bus;

// One worker's place on the bus; giving it up is leaving.
class BusMember {
 public:
  using Number = SubscriberId;  // never given twice
  BusMember(Bus& bus, Number number, UniqueFd worker_end)
      : bus_(bus), number_(number), worker_end_(std::move(worker_end)) {}
  ~BusMember();
  BusMember(const BusMember&) = delete;
  BusMember& operator=(const BusMember&) = delete;

  [[nodiscard]] Number number() const { return number_; }
  // For the worker; ours is not wanted once it has been started.
  [[nodiscard]] BorrowedFd worker_end() const { return worker_end_; }
  void close_worker_end() { worker_end_.reset(); }
  // The worker has ended: what it said last is heard, and from then on it is nobody.
  void on_ended();

 private:
  Bus& bus_;
  Number number_;
  UniqueFd worker_end_;
};

// Where the placement of a pool sends a key.
struct BusPlace {
  bool has_pool = false;
  std::optional<BusMember::Number> member = {};  // here
  std::optional<FleetSlot> away = {};            // or on another machine; neither: no worker serves there
};

}  // namespace holdfast
