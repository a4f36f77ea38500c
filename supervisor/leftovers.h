#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "core/left_over.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sys/unique_fd.h"

namespace holdfast {

// Workers of a supervisor before us, in our control group, that nothing was kept of. Nobody passes them connections and nobody
// would ever end them, so they are told to end, and killed if they have not when their time is over.
class Leftovers {
 public:
  // Null if there are none.
  [[nodiscard]] static std::unique_ptr<Leftovers> end(Loop& loop, const KnownWorkers& known, Duration patience);

 private:
  Leftovers(Loop& loop, std::vector<UniqueFd> processes, Duration patience);
  void kill() const;

  std::vector<UniqueFd> processes_;  // pidfds: their numbers may be others' by then
  Timer patience_;
};

}  // namespace holdfast
