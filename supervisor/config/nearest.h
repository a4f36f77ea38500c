#pragma once

#include <span>
#include <string>
#include <string_view>

namespace holdfast {

// The candidate that differs from `text` by the fewest insertions, deletions and replacements (Levenshtein distance),
// if that is near enough to have been meant; else empty.
[[nodiscard]] std::string nearest(std::string_view text, std::span<const std::string> candidates);

}  // namespace holdfast
