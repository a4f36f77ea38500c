#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "core/ids.h"
#include "core/intake.h"
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
  const Inbox& inbox;
  const std::vector<std::unique_ptr<Listener>>& listeners;
  std::vector<Steerer::GivenSocket> sockets;  // of the slot
  std::string notify_address;                 // for NOTIFY_SOCKET
};

// Command and environment with their templates filled in, and the descriptors: from 3 on those of LISTEN_FDS, then the
// channel, the page and the sockets of a worker of the SDK.
[[nodiscard]] SpawnPlan plan_launch(const PoolConfig& pool, const Launch& launch);

}  // namespace holdfast
