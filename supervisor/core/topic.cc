#include "core/topic.h"

#include <algorithm>
#include <set>

namespace holdfast {

namespace {

constexpr std::string_view kOne = "*";
constexpr std::string_view kDeep = "**";

// Calls `each` with every segment; false as soon as it says so.
template <class Each>
bool all_segments(std::string_view text, Each each) {
  for (;;) {
    const std::size_t dot = text.find('.');
    if (!each(text.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

bool is_segment(std::string_view segment) {
  return !segment.empty() && std::none_of(segment.begin(), segment.end(), [](char c) {
    return static_cast<unsigned char>(c) <= ' ' || c == '*' || c == 0x7f;
  });
}

std::vector<std::string_view> segments_of(std::string_view text) {
  std::vector<std::string_view> segments;
  (void)all_segments(text, [&](std::string_view segment) {
    segments.push_back(segment);
    return true;
  });
  return segments;
}

using Segments = std::span<const std::string_view>;

bool match(Segments pattern, Segments topic) {
  if (pattern.empty()) return topic.empty();
  if (pattern.front() == kDeep) {
    for (std::size_t taken = 0; taken <= topic.size(); taken++) {
      if (match(pattern.subspan(1), topic.subspan(taken))) return true;
    }
    return false;
  }
  if (topic.empty() || (pattern.front() != kOne && pattern.front() != topic.front())) return false;
  return match(pattern.subspan(1), topic.subspan(1));
}

}  // namespace

bool is_topic(std::string_view text) {
  std::size_t segments = 0;
  return text.size() <= kMaxTopic && all_segments(text, [&](std::string_view segment) {
           return ++segments <= kMaxTopicSegments && is_segment(segment);
         });
}

bool is_topic_pattern(std::string_view text) {
  std::size_t segments = 0;
  std::size_t deep = 0;
  return text.size() <= kMaxTopic && all_segments(text, [&](std::string_view segment) {
           if (segment == kDeep) deep++;
           const bool fits = segment == kOne || segment == kDeep || is_segment(segment);
           return ++segments <= kMaxTopicSegments && deep <= kMaxDeepWildcards && fits;
         });
}

bool topic_matches(std::string_view pattern, std::string_view topic) {
  return match(segments_of(pattern), segments_of(topic));
}

struct Subscriptions::Node {
  std::map<std::string, std::unique_ptr<Node>, std::less<>> children;
  std::set<SubscriberId> subscribers;

  void collect(Segments topic, std::vector<SubscriberId>& found) const {
    if (topic.empty()) found.insert(found.end(), subscribers.begin(), subscribers.end());
    if (const Node* deep = child(kDeep)) {
      for (std::size_t taken = 0; taken <= topic.size(); taken++) deep->collect(topic.subspan(taken), found);
    }
    if (topic.empty()) return;
    if (const Node* one = child(kOne)) one->collect(topic.subspan(1), found);
    if (const Node* same = child(topic.front())) same->collect(topic.subspan(1), found);
  }
  [[nodiscard]] const Node* child(std::string_view segment) const {
    const auto at = children.find(segment);
    return at == children.end() ? nullptr : at->second.get();
  }
  // False: nothing of that pattern was here.
  bool remove(Segments pattern, SubscriberId subscriber) {
    if (pattern.empty()) return subscribers.erase(subscriber) > 0;
    const auto at = children.find(pattern.front());
    if (at == children.end() || !at->second->remove(pattern.subspan(1), subscriber)) return false;
    if (at->second->children.empty() && at->second->subscribers.empty()) children.erase(at);
    return true;
  }
};

Subscriptions::Subscriptions() : root_(std::make_unique<Node>()) {}
Subscriptions::~Subscriptions() = default;

bool Subscriptions::add(SubscriberId subscriber, std::string_view pattern) {
  Node* node = root_.get();
  for (const std::string_view segment : segments_of(pattern)) {
    std::unique_ptr<Node>& child = node->children[std::string(segment)];
    if (!child) child = std::make_unique<Node>();
    node = child.get();
  }
  if (!node->subscribers.insert(subscriber).second) return false;
  of_subscriber_[subscriber].emplace_back(pattern);
  size_++;
  remembered_.clear();
  return true;
}

bool Subscriptions::remove(SubscriberId subscriber, std::string_view pattern) {
  if (!root_->remove(segments_of(pattern), subscriber)) return false;
  std::vector<std::string>& patterns = of_subscriber_[subscriber];
  patterns.erase(std::find(patterns.begin(), patterns.end(), pattern));
  if (patterns.empty()) of_subscriber_.erase(subscriber);
  size_--;
  remembered_.clear();
  return true;
}

void Subscriptions::remove_all(SubscriberId subscriber) {
  const auto at = of_subscriber_.find(subscriber);
  if (at == of_subscriber_.end()) return;
  for (const std::string& pattern : std::vector<std::string>(at->second)) (void)remove(subscriber, pattern);
}

std::span<const SubscriberId> Subscriptions::find(std::string_view topic) {
  if (const auto at = remembered_.find(topic); at != remembered_.end()) return at->second;
  std::vector<SubscriberId> found;
  root_->collect(segments_of(topic), found);
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  if (remembered_.size() >= kMaxRemembered) remembered_.clear();
  return remembered_[std::string(topic)] = std::move(found);
}

std::vector<std::string> Subscriptions::of(SubscriberId subscriber) const {
  const auto at = of_subscriber_.find(subscriber);
  return at == of_subscriber_.end() ? std::vector<std::string>() : at->second;
}

std::vector<std::string> Subscriptions::patterns() const {
  std::set<std::string> all;
  for (const auto& [subscriber, patterns] : of_subscriber_) all.insert(patterns.begin(), patterns.end());
  return {all.begin(), all.end()};
}

}  // namespace holdfast
