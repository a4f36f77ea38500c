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
  if (kept == 0) return;
  if (message.bytes->size() > max_bytes_) return on_not_kept(topic, message.sequence);
  if (ring == rings_.end()) {
    ring = rings_.emplace(std::string(topic), Ring{{}, by_age_.insert(by_age_.end(), std::string(topic)), 0}).first;
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

void Retained::on_not_kept(std::string_view topic, std::uint64_t sequence) {
  if (depth(topic) > 0) adopt_not_kept(topic, sequence);
}

void Retained::adopt_not_kept(std::string_view topic, std::uint64_t sequence) {
  const auto ring = rings_.find(topic);
  std::uint64_t& last = ring == rings_.end() ? not_kept_ : ring->second.not_kept;
  last = std::max(last, sequence);
}

bool Retained::has_all_after(std::string_view pattern, std::uint64_t sequence) const {
  return not_kept_ <= sequence && std::none_of(rings_.begin(), rings_.end(), [&](const auto& one) {
           return one.second.not_kept > sequence && topic_matches(pattern, one.first);
         });
}

std::map<std::string, std::uint64_t> Retained::not_kept() const {
  std::map<std::string, std::uint64_t> all;
  if (not_kept_ > 0) all[""] = not_kept_;
  for (const auto& [topic, ring] : rings_) {
    if (ring.not_kept > 0) all[topic] = ring.not_kept;
  }
  return all;
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
    ring.not_kept = std::max(ring.not_kept, ring.messages.front().sequence);
    ring.messages.pop_front();
  }
}

void Retained::forget(Rings::iterator ring) {
  trim(ring->second, 0);
  not_kept_ = std::max(not_kept_, ring->second.not_kept);
  by_age_.erase(ring->second.age);
  rings_.erase(ring);
}

}  // namespace holdfast
