#pragma once

#include <string>

#include "wire/scale_answer.h"

namespace holdfast {

// `holdfast scale` for people: what was done, is under way, or (`only_tell`) would be, and what it means for the clients.
[[nodiscard]] std::string render_scale(const ScaleAnswer& answer, bool only_tell);

}  // namespace holdfast
