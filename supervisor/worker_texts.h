#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/fleet.h"
#include "core/recycle.h"

namespace holdfast {

// What the log and `status` call the fleet's decisions.
[[nodiscard]] std::string_view reason_text(Fleet::Why why);
[[nodiscard]] std::string_view reason_text(Recycle::Why why);
[[nodiscard]] std::string_view phase_text(const Fleet::Phase& phase);
[[nodiscard]] std::string_view slot_text(const Fleet::Slot& slot);
[[nodiscard]] std::string seconds_text(Duration duration);  // "1.5 s"
[[nodiscard]] std::string when_text(Duration delay);        // "in 1.5 s"; "at once" for what would be "in 0.0 s"

// "; it wrote last:" and the last lines of a worker, each on a line of its own, or nothing. A report repeats only some of those
// that are kept.
[[nodiscard]] std::string quote(const std::vector<std::string>& lines);

}  // namespace holdfast
