#pragma once

namespace holdfast {

// Whether our standard output is a terminal that a person looks at (and NO_COLOR, no-color.org, is not set).
[[nodiscard]] bool standard_output_is_terminal();

}  // namespace holdfast
