#include "bus/fleet_parts.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace holdfast {

namespace {

// What all parts of a message have in common.
std::string head_of(FleetMessage part) {
  part.offset = 0;
  part.data = {};
  return encode(part);
}

UniqueFd memory_for_a_message() {
  Result<UniqueFd> memory = make_memory("holdfast-message");
  return memory ? *std::move(memory) : UniqueFd();
}

}  // namespace

std::optional<FleetParts::Whole> FleetParts::add(const FleetMessage& part, TimePoint now) {
  std::string head = head_of(part);
  if (part.offset == 0) {
    forget(part.node);
    begun_[part.node] = {std::move(head), memory_for_a_message(), 0, now};
  } else {
    const auto before = begun_.find(part.node);
    if (before == begun_.end()) return std::nullopt;
    if (before->second.head != head || before->second.done != part.offset) {
      forget(before);
      return std::nullopt;
    }
  }
  const auto at = begun_.find(part.node);
  Begun& begun = at->second;
  if (begun.memory && !append_to_memory(begun.memory, part.data)) begun.memory.reset();
  begun.done += static_cast<std::uint32_t>(part.data.size());
  begun.heard = now;
  bytes_ += part.data.size();
  keep_bounds(part.node);
  if (begun.done < part.size) return std::nullopt;
  if (begun.memory && !seal_memory(begun.memory)) begun.memory.reset();
  Whole whole{std::move(begun.head), {nullptr, part.size}};
  if (begun.memory) whole.memory.fd = std::make_shared<const UniqueFd>(std::move(begun.memory));
  forget(at);
  return whole;
}

void FleetParts::forget_the_silent(TimePoint since) {
  for (auto at = begun_.begin(); at != begun_.end();) {
    const auto current = at++;
    if (current->second.heard < since) forget(current);
  }
}

void FleetParts::forget(Node node) {
  if (const auto at = begun_.find(node); at != begun_.end()) forget(at);
}

void FleetParts::forget(All::iterator begun) {
  bytes_ -= begun->second.done;
  begun_.erase(begun);
}

// One alone is within them.
void FleetParts::keep_bounds(Node but) {
  while (begun_.size() > kMaxMessages || bytes_ > kMaxBytes) {
    const auto age = [but](const auto& one) { return std::pair(one.first == but, one.second.heard); };
    forget(
        std::min_element(begun_.begin(), begun_.end(), [&](const auto& a, const auto& b) { return age(a) < age(b); }));
  }
}

}  // namespace holdfast
