#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/ids.h"
#include "core/intake.h"
#include "core/result.h"
#include "listener/listener.h"
#include "steerer.h"
#include "sys/spawn.h"
#include "worker/inbox.h"

namespace holdfast {

// What one worker is started with, beside what its pool's configuration says.
struct Launch {
  SlotId slot;
  unsigned slots = 0;
  Generation generation;
  Settlement::Offer offer{};
  const ConnectionSink& inbox;  // an Inbox, where a channel of the SDK is offered
  const std::vector<std::unique_ptr<Listener>>& listeners;
  std::vector<Steerer::GivenSocket> sockets;  // of the slot
  std::string notify_address;                 // for NOTIFY_SOCKET
  std::optional<Credentials> credentials;     // nothing: ours
  WorkerId worker{};
  std::optional<BorrowedFd> node_channel = std::nullopt;  // the worker's end
  bool survives_us = false;                               // it is kept for the next supervisor
  std::optional<BorrowedFd> bus = std::nullopt;           // the worker's end of its bus channel
};

// Command and environment with their templates filled in, and the descriptors: from 3 on those of LISTEN_FDS, then the
// channel, the page and the sockets of a worker of the SDK.
[[nodiscard]] SpawnPlan plan_launch(const PoolConfig& pool, const Launch& launch);

// The pool's clean-up before the next worker of a slot: its command, with the templates and the environment of a worker.
[[nodiscard]] SpawnPlan plan_clean_up(const PoolConfig& pool, SlotId slot, unsigned slots);

// Whether the pool's user and group exist, and its workers may be started as these. EPERM: only root may.
[[nodiscard]] Outcome check_account(const PoolConfig& pool);

// Sets the mode of the sockets that only LISTEN_FDS names: blocking, as socket activation has them, whatever the slot's
// last worker or we ourselves have made of them. Those that a worker of the SDK may find stay non-blocking, as its
// protocol promises.
[[nodiscard]] Outcome set_socket_modes(const Launch& launch);

}  // namespace holdfast
