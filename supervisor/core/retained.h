#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace holdfast {

// The last messages of topics that were declared so (`retain`): what a worker that was restarted asks for. Each is kept as the
// bytes that were delivered, under the number that the bus gave it.
//
// Bounded: a topic keeps as many as its pattern says, and all together `max_bytes`; then the topic that was silent longest
// is forgotten whole. What is not kept any more is remembered as a number, so that whoever asks for more than there is hears it.
class Retained {
 public:
  using Bytes = std::shared_ptr<const std::vector<std::byte>>;
  struct Message {
    std::uint64_t sequence;
    Bytes bytes;
  };
  using Rules = std::map<std::string, unsigned>;  // pattern -> messages

  explicit Retained(std::size_t max_bytes) : max_bytes_(max_bytes) {}
  // What is kept beyond the new rules goes.
  void set_rules(Rules rules);

  // How many messages of the topic are kept: by the most generous pattern that matches.
  [[nodiscard]] unsigned depth(std::string_view topic) const;
  // Nothing happens where the depth is 0. Numbers grow, but for those of an earlier time that are known late: these take their place
  // before what is newer, as far as there is room.
  void keep(std::string_view topic, Message message);
  // One that would be kept by its topic, and cannot.
  void on_not_kept(std::string_view topic, std::uint64_t sequence);
  // What was published after `sequence` under topics of the pattern, in order.
  [[nodiscard]] std::vector<Message> after(std::string_view pattern, std::uint64_t sequence) const;

  // Whether that is all that was published after `sequence` there, and to be kept. Of topics that were forgotten whole nothing
  // is known but that: then it may be false without need.
  [[nodiscard]] bool has_all_after(std::string_view pattern, std::uint64_t sequence) const;
  // For another program that goes on with it: the last that is not kept any more, by topics; that of all others under "".
  [[nodiscard]] std::map<std::string, std::uint64_t> not_kept() const;
  // After the messages were.
  void adopt_not_kept(std::string_view topic, std::uint64_t sequence);

  // Everything, in an order in which `keep` makes it again: by topics, from the one that is silent longest.
  [[nodiscard]] std::vector<std::pair<std::string, Message>> all() const;

  [[nodiscard]] std::size_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t messages() const;

 private:
  struct Ring {
    std::deque<Message> messages;
    std::list<std::string>::iterator age;
    std::uint64_t not_kept = 0;  // the last that was here, or should have been
  };
  using Rings = std::map<std::string, Ring, std::less<>>;
  void trim(Ring& ring, unsigned depth);
  void forget(Rings::iterator ring);

  std::size_t max_bytes_;
  std::size_t bytes_ = 0;
  Rules rules_;
  Rings rings_;
  std::uint64_t not_kept_ = 0;     // of topics that have no ring
  std::list<std::string> by_age_;  // the topic that was published to last stands last
};

}  // namespace holdfast
