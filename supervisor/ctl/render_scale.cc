#include "ctl/render_scale.h"

#include <fmt/format.h>

namespace holdfast {

std::string render_scale(const ScaleAnswer& answer, bool only_tell) {
  const char* const verb = only_tell ? "would have" : answer.scaled ? "has" : "is to have";
  const double share = answer.buckets == 0 ? 0 : 100.0 * answer.moved_buckets / answer.buckets;
  const std::string of_late =
      answer.clients ? fmt::format(", about {} of the {} of the last 10 minutes", answer.moved_clients, *answer.clients)
                     : "";
  return fmt::format("pool {} {} {} slot{}: {:.1f} % of the clients meet another worker{}\n", answer.pool, verb,
                     answer.slots, answer.slots == 1 ? "" : "s", share, of_late);
}

}  // namespace holdfast
