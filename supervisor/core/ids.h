#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>

namespace holdfast {

// A number that names one kind of thing. Two kinds do not mix, and arithmetic is not offered because identities have none.
template <class Tag>
struct Id {
  std::uint32_t value = 0;

  constexpr Id() = default;
  constexpr explicit Id(std::uint32_t v) : value(v) {}
  constexpr auto operator<=>(const Id&) const = default;
};

using SlotId = Id<struct SlotTag>;            // permanent place in a pool, counted from 0
using WorkerId = Id<struct WorkerTag>;        // one process in its whole life; never used twice by one supervisor
using ListenerId = Id<struct ListenerTag>;    // index of a listener, counted from 0, in the order of configuration
using Generation = Id<struct GenerationTag>;  // program and configuration that workers should run; grows

}  // namespace holdfast

template <class Tag>
struct std::hash<holdfast::Id<Tag>> {
  std::size_t operator()(holdfast::Id<Tag> id) const noexcept { return std::hash<std::uint32_t>{}(id.value); }
};
