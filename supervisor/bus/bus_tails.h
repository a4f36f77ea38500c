#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "core/result.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "wire/tail_answer.h"

namespace holdfast {

// Those who look on from outside (`holdfast tail`). The control socket gives one answer to a question, so they ask again and
// again, each with the number of its session, and are answered as soon as there is something. What comes between two questions
// is kept here, bounded; what does not fit is counted and told.
class BusTails {
 public:
  using Answer = std::function<void(const TailAnswer&)>;

  explicit BusTails(Loop& loop);

  // A new session when `session` is 0. Errors: too many of them, no such session, no pattern.
  [[nodiscard]] Outcome ask(std::uint64_t session, std::string_view pattern, Answer answer);
  // `size`: of the message; `data` is empty where that is too large to be shown.
  void on_message(std::string_view topic, std::uint64_t sequence, std::string_view data, std::uint64_t size);
  [[nodiscard]] bool empty() const { return sessions_.empty(); }

 private:
  struct Session {
    std::string pattern;
    std::deque<TailMessage> messages;
    std::size_t bytes = 0;
    std::uint64_t dropped = 0;
    Answer answer;  // of who waits
    TimePoint due;  // when it is answered, or is forgotten
  };
  void answer(std::uint64_t id, Session& session);
  void on_due();
  void arm();

  Loop& loop_;
  std::map<std::uint64_t, Session> sessions_;
  std::uint64_t last_ = 0;
  Timer timer_;
};

}  // namespace holdfast
