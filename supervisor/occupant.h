#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bus/bus_member.h"
#include "core/fleet.h"
#include "core/ids.h"
#include "core/intake.h"
#include "core/recycle.h"
#include "health_watch.h"
#include "loop/timer.h"
#include "steering/steer_group.h"
#include "worker/capture.h"
#include "worker/connection_sink.h"
#include "worker/notify_socket.h"
#include "worker/set_up_watch.h"
#include "worker/worker_process.h"

namespace holdfast {

// One worker, and everything by which we hear of it.
struct Occupant {
  SlotId slot;
  Generation generation;
  TimePoint started;
  Settlement::Offer offer{};
  Turn turn = Turn::First;                    // whose sockets it was given, or will be
  bool holds_sockets = false;                 // it was given some of them
  std::unique_ptr<ConnectionSink> own_inbox;  // of a successor or a departing worker; else the slot's
  std::unique_ptr<NotifySocket> notify;
  std::unique_ptr<BusMember> bus;
  std::unique_ptr<WorkerProcess> process;
  std::unique_ptr<Capture> capture;
  std::unique_ptr<Timer> grace;           // until a worker that tells nothing counts as ready
  std::unique_ptr<SetUpWatch> set_up;     // until one that will get datagrams has prepared its sockets
  std::unique_ptr<Timer> leaving;         // until another worker is started beside one that wants to go
  std::unique_ptr<Timer> farewell;        // while it serves its queue out before it is told to end
  bool took_leave = false;                // ... which it was: a second SIGTERM would mean more to some
  std::vector<ListenerId> listeners;      // that it knows: those of its start that were to stay
  bool bound = false;                     // it was given a socket for a bind of its own
  bool spoke = false;                     // it said HELLO
  bool beats = false;                     // it sends heartbeats by itself: by the SDK, or WATCHDOG=1
  std::vector<std::string> other_binds;   // TCP addresses that it bound and that are none of ours
  bool told_elsewhere = false;            // somebody was told of these
  std::optional<Fleet::Why> told_to_end;  // why it was first sent a signal
  std::unique_ptr<HealthWatch> health;    // while it serves, if its pool wants checks
  std::optional<Recycle> recycle;         // the same, if its pool wants recycling
  std::uint64_t served_before = 0;        // by others, of what its inbox counts
};

}  // namespace holdfast
