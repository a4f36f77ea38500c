#pragma once

#include <cstdlib>
#include <string_view>

// What must hold whatever the bytes are: the fuzzer keeps those with which it does not.
inline void check(bool holds) {
  if (!holds) std::abort();
}
// `part` is of the bytes themselves, or empty.
inline void check_inside(std::string_view part, std::string_view whole) {
  check(part.empty() || (part.data() >= whole.data() && part.data() + part.size() <= whole.data() + whole.size()));
}
