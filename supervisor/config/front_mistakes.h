#pragma once

#include <string>
#include <vector>

#include "config/config.h"
#include "config/origin.h"

namespace holdfast {

// What is wrong with what was chosen for the front door, that no single value shows.
struct FrontMistake {
  std::vector<KeyPath> about;  // the first of these that somebody has written is the place to show
  std::string text;
};
[[nodiscard]] std::vector<FrontMistake> front_mistakes(const Config& config);

// The pools that the listener's connections may come to: its own first, then those of its routes that exist.
[[nodiscard]] std::vector<const PoolConfig*> pools_of(const Config& config, const ListenerConfig& listener);

}  // namespace holdfast
