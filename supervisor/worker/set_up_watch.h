#pragma once

#include <sys/types.h>

#include <functional>

#include "core/time.h"
#include "loop/loop.h"
#include "loop/timer.h"

namespace holdfast {

// When a process that has bound a datagram socket is done with what programs do to one next: they set options. What comes before may
// be lost: with IP_PKTINFO (ip(7)) a program learns by which address a datagram came, and of one that came before the option was
// set the kernel does not know it any more. Nothing tells that it is done, but that all its threads wait for something.
class SetUpWatch {
 public:
  // `on_done` is called once, from the loop, when the process of this thread was asleep in two looks in a row (or is not to be
  // seen), at the latest at `deadline`: some never sleep. It must not destroy the watch.
  SetUpWatch(Loop& loop, pid_t thread, TimePoint deadline, std::function<void()> on_done);

 private:
  void look();

  Loop& loop_;
  pid_t thread_;
  TimePoint deadline_;
  std::function<void()> on_done_;
  int asleep_ = 0;       // looks in a row
  Duration until_next_;  // look; it grows while the process is at work
  Timer next_look_;
};

}  // namespace holdfast
