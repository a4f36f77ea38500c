#pragma once

#include <sys/types.h>

#include <functional>

#include "loop/loop.h"
#include "loop/timer.h"

namespace holdfast {

// When a thread that has bound a datagram socket is done with what programs do to one next: they set options. What comes before may
// be lost: with IP_PKTINFO (ip(7)) a program learns by which address a datagram came, and of one that came before the option was
// set the kernel does not know it any more. Nothing tells that it is done, but that the thread waits for something.
class SetUpWatch {
 public:
  // `on_done` is called once, from the loop, when the thread was seen asleep twice in a row, a millisecond apart (once may be a call
  // of its that waits for our answer), or is not to be seen. It must not destroy the watch.
  SetUpWatch(Loop& loop, pid_t thread, std::function<void()> on_done);

 private:
  void look();

  Loop& loop_;
  pid_t thread_;
  std::function<void()> on_done_;
  int asleep_ = 0;  // looks in a row
  Timer next_look_;
};

}  // namespace holdfast
