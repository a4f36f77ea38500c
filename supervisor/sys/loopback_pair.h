#pragma once

#include "core/result.h"
#include "sys/sockets.h"
#include "sys/unique_fd.h"

namespace holdfast {

// Both ends of one TCP connection over 127.0.0.1: what a worker is given of it is a socket like any client's. Both are
// non-blocking and close-on-exec.
struct LoopbackPair {
  UniqueFd ours;
  AcceptedConnection theirs;
};
// Costs a moment, never a wait: the kernel completes the handshake within connect(2). Whoever else connects at that moment to
// the port that it takes is turned away.
// Errors: ENETUNREACH, EADDRNOTAVAIL where the interface `lo` is down; EMFILE; `doing` says what was attempted.
[[nodiscard]] Result<LoopbackPair> make_loopback_pair();

}  // namespace holdfast
