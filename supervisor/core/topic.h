#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace holdfast {

// What a message of the bus is about: segments divided by dots, `chat.room.lobby`. A pattern says which topics somebody
// wants: `*` stands for one segment, `**` for any number of them, also none.
inline constexpr std::size_t kMaxTopic = 255;  // bytes, also of a pattern
inline constexpr std::size_t kMaxTopicSegments = 32;
inline constexpr std::size_t kMaxDeepWildcards = 2;  // `**` in one pattern: each multiplies the ways to match

// One to 32 segments, none empty, no wildcard, no control character or space.
[[nodiscard]] bool is_topic(std::string_view text);
[[nodiscard]] bool is_topic_pattern(std::string_view text);
[[nodiscard]] bool topic_matches(std::string_view pattern, std::string_view topic);

using SubscriberId = std::uint32_t;

// Who wants what. Patterns are kept as a tree of their segments; what a topic found is remembered until a subscription
// changes, so that a busy topic costs one look-up.
class Subscriptions {
 public:
  Subscriptions();
  ~Subscriptions();
  // Whether something changed. `pattern` must be one.
  bool add(SubscriberId subscriber, std::string_view pattern);
  bool remove(SubscriberId subscriber, std::string_view pattern);
  void remove_all(SubscriberId subscriber);

  // In the order of their ids, each once; valid until the next call of anything here.
  [[nodiscard]] std::span<const SubscriberId> find(std::string_view topic);
  [[nodiscard]] std::size_t size() const { return size_; }
  [[nodiscard]] std::vector<std::string> of(SubscriberId subscriber) const;
  // Patterns that at least one subscriber has.
  [[nodiscard]] std::vector<std::string> patterns() const;

 private:
  struct Node;
  struct Hash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
  };
  static constexpr std::size_t kMaxRemembered = 4096;

  std::unique_ptr<Node> root_;
  std::map<SubscriberId, std::vector<std::string>> of_subscriber_;
  std::unordered_map<std::string, std::vector<SubscriberId>, Hash, std::equal_to<>> remembered_;
  std::size_t size_ = 0;
};

}  // namespace holdfast
