#pragma once

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>

namespace holdfast {

// The seed of a random history: HOLDFAST_SEED if that is set, else a new one. It is printed, so that a failure can be
// played again.
inline std::uint64_t random_seed() {
  const char* const given = std::getenv("HOLDFAST_SEED");
  const std::uint64_t seed = given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device{}();
  std::cout << "HOLDFAST_SEED=" << seed << '\n';
  return seed;
}

}  // namespace holdfast
