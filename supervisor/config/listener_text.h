#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/options.h"

namespace holdfast {

// What stands behind -l: "[NAME=]ADDRESS[,KEY=VALUE]...", the keys being those of [listeners.NAME]; a value goes on to the next one. A
// path has keys of its own (mode, user, group), which stay with it.
struct ListenerText {
  struct Given {
    const Option* option;
    std::string value;
  };
  std::string_view address;  // with its name
  std::vector<Given> given;
};
[[nodiscard]] ListenerText split_listener_text(std::string_view text);

}  // namespace holdfast
