#include "core/retained.h"

#include <algorithm>
#include <utility>

#include "core/topic.h"

namespace holdfast {

void Retained::set_rules(Rules rules) {
  rules_ = std::move(rules);
  for (auto ring = rings_.begin(); ring != rings_.end();) {
    const auto current = ring++;
    const unsigned kept = depth(current->first);
    if (kept == 0) {
      forget(current);
    } else {
      trim(current->second, kept);
    }
  }
}

unsigned Retained::depth(std::string_view topic) const {
  unsigned depth = 0;
  for (const auto& [pattern, messages] : rules_) {
    if (messages > depth && topic_matches(pattern, topic)) depth = messages;
  }
  return depth;
}

void Retained::keep(std::string_view topic, Message message) {
  auto ring = rings_.find(topic);
  const unsigned kept = rules_.empty() ? 0 : depth(topic);
  if (kept == 0 || message.bytes->size() > max_bytes_) return;
  if (ring == rings_.end()) {
    ring = rings_.emplace(std::string(topic), Ring{{}, by_age_.insert(by_age_.end(), std::string(topic))}).first;
  } else {
    by_age_.splice(by_age_.end(), by_age_, ring->second.age);
  }
  bytes_ += message.bytes->size();
  std::deque<Message>& messages = ring->second.messages;
  const auto place = std::find_if(messages.rbegin(), messages.rend(),
                                  [&](const Message& older) { return older.sequence < message.sequence; });
  messages.insert(place.base(), std::move(message));
  trim(ring->second, kept);
  while (bytes_ > max_bytes_ && by_age_.front() != topic) forget(rings_.find(by_age_.front()));
  while (bytes_ > max_bytes_) trim(ring->second, static_cast<unsigned>(ring->second.messages.size()) - 1);
}

std::vector<Retained::Message> Retained::after(std::string_view pattern, std::uint64_t sequence) const {
  std::vector<Message> found;
  for (const auto& [topic, ring] : rings_) {
    if (!topic_matches(pattern, topic)) continue;
    for (const Message& message : ring.messages) {
      if (message.sequence > sequence) found.push_back(message);
    }
  }
  std::sort(found.begin(), found.end(), [](const Message& a, const Message& b) { return a.sequence < b.sequence; });
  return found;
}

std::vector<std::pair<std::string, Retained::Message>> Retained::all() const {
  std::vector<std::pair<std::string, Message>> all;
  for (const std::string& topic : by_age_) {
    for (const Message& message : rings_.find(topic)->second.messages) all.emplace_back(topic, message);
  }
  return all;
}

std::size_t Retained::messages() const {
  std::size_t count = 0;
  for (const auto& [topic, ring] : rings_) count += ring.messages.size();
  return count;
}

void Retained::trim(Ring& ring, unsigned depth) {
  while (ring.messages.size() > depth) {
    bytes_ -= ring.messages.front().bytes->size();
    ring.messages.pop_front();
  }
}

void Retained::forget(Rings::iterator ring) {
  trim(ring->second, 0);
  by_age_.erase(ring->second.age);
  rings_.erase(ring);
}

}  // namespace holdfast
