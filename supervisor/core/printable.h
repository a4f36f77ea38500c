#pragma once

#include <string>
#include <string_view>

namespace holdfast {

// Text of strangers as one line that a terminal shows and does not obey: control characters, DEL, C1 and bytes that are no UTF-8 become
// \n, \t, \r or \xHH. Everything else stays as it is, backslashes too: it is for people, not for programs.
[[nodiscard]] std::string printable(std::string_view text);

}  // namespace holdfast
