#include "bus/bus_tails.h"

#include <algorithm>
#include <utility>

#include "core/topic.h"

namespace holdfast {

namespace {

constexpr std::size_t kMaxSessions = 32;
constexpr std::size_t kMaxBytes = std::size_t{1}
                                  << 20;  // of one session; a message counts with its topic and some more
constexpr std::size_t kMessageOverhead = 64;
// Who waits is answered with nothing after so long, and asks again: so one who has gone is noticed.
constexpr Duration kLongestWait = std::chrono::seconds(20);
// Who has not asked again for so long has gone.
constexpr Duration kPatience = std::chrono::seconds(10);

std::size_t weight(const TailMessage& message) { return message.topic.size() + message.data.size() + kMessageOverhead; }

}  // namespace

BusTails::BusTails(Loop& loop) : loop_(loop), timer_(loop, [this] { on_due(); }) {}

Outcome BusTails::ask(std::uint64_t id, std::string_view pattern, Answer answer_it) {
  if (id == 0) {
    if (!is_topic_pattern(pattern)) {
      return Error{
          {}, "'" + std::string(pattern) + "' is no pattern: segments divided by dots, * for one, ** for any number"};
    }
    if (sessions_.size() >= kMaxSessions) return Error{{}, "too many look on already"};
    id = ++last_;
    Session& opened = sessions_[id];
    opened.pattern = pattern;
    opened.due = loop_.now() + kPatience;
    arm();
    answer_it({id, 0, {}});  // at once, so that whoever asks knows from when on he sees everything
    return Done{};
  }
  const auto at = sessions_.find(id);
  if (at == sessions_.end()) return Error{{}, "the session has ended: nobody asked for 10 s"};
  at->second.answer = std::move(answer_it);
  at->second.due = loop_.now() + kLongestWait;
  if (!at->second.messages.empty()) answer(id, at->second);
  arm();
  return Done{};
}

void BusTails::on_message(std::string_view topic, std::uint64_t sequence, std::string_view data, std::uint64_t size) {
  for (auto& [id, session] : sessions_) {
    if (!topic_matches(session.pattern, topic)) continue;
    session.messages.push_back({std::string(topic), sequence, std::string(data), size});
    session.bytes += weight(session.messages.back());
    while (session.bytes > kMaxBytes && session.messages.size() > 1) {
      session.bytes -= weight(session.messages.front());
      session.messages.pop_front();
      session.dropped++;
    }
    if (session.answer) answer(id, session);
  }
}

void BusTails::answer(std::uint64_t id, Session& session) {
  TailAnswer given{id, std::exchange(session.dropped, 0), {}};
  given.messages.assign(session.messages.begin(), session.messages.end());
  session.messages.clear();
  session.bytes = 0;
  session.due = loop_.now() + kPatience;
  std::exchange(session.answer, nullptr)(given);
}

void BusTails::on_due() {
  const TimePoint now = loop_.now();
  for (auto at = sessions_.begin(); at != sessions_.end();) {
    const auto current = at++;
    if (current->second.due > now) continue;
    if (current->second.answer) {
      answer(current->first, current->second);
    } else {
      sessions_.erase(current);
    }
  }
  arm();
}

void BusTails::arm() {
  TimePoint next = kNever;
  for (const auto& [id, session] : sessions_) next = std::min(next, session.due);
  timer_.arm(next);
}

}  // namespace holdfast
