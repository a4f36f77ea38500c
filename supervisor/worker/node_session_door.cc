#include "worker/node_session_door.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>
#include <vector>

#include "core/node_client_sessions.h"
#include "sys/first_bytes.h"
#include "worker/saved_connection.h"

namespace holdfast {

namespace {

constexpr std::size_t kLongestTarget = 4096;  // of what is looked at: Engine.IO's are below 200 bytes
constexpr Duration kPatience = std::chrono::seconds(2);
// Between two looks at a request of which a part has come: it stays readable, so watching it would spin.
constexpr Duration kLookAgain = std::chrono::milliseconds(10);
// A worker answers the client first, and then announces the session: the client may be here again before that is said.
constexpr Duration kAnnouncement = std::chrono::milliseconds(250);

// The target of the request whose first line begins so; nothing: more is needed.
std::optional<std::string_view> target_in(std::string_view text) {
  const bool whole = text.find('\n') != std::string_view::npos || text.size() >= kLongestTarget;
  const bool is_request = !text.empty() && text.front() >= 'A' && text.front() <= 'Z';
  if (!whole && (is_request || text.empty())) return std::nullopt;
  const std::string_view line = text.substr(0, text.find('\n'));
  const std::size_t start = line.find(' ');
  if (!is_request || start == std::string_view::npos) return std::string_view();
  return line.substr(start + 1, line.find(' ', start + 1) - start - 1);
}

}  // namespace

struct NodeSessionDoor::Waiting {
  Connection connection;
  TimePoint until;
  TimePoint due = kNever;
  std::string session;                     // which it asks for; empty: that is not known yet
  std::optional<TimePoint> unknown_until;  // its session is not known yet
  std::unique_ptr<FdWatcher> watcher;
};

NodeSessionDoor::NodeSessionDoor(Loop& loop, Hooks hooks, std::size_t most_waiting)
    : loop_(loop), hooks_(std::move(hooks)), most_waiting_(most_waiting), timer_(loop, [this] { on_due(); }) {}

NodeSessionDoor::~NodeSessionDoor() = default;

void NodeSessionDoor::take(Connection connection) {
  if (waiting_.size() >= most_waiting_) {
    hooks_.on_overflow();
    let_through(waiting_.begin()->first, std::nullopt);
  }
  const std::uint64_t id = connection.record.id;
  auto waiting = std::make_unique<Waiting>();
  waiting->connection = std::move(connection);
  waiting->until = loop_.now() + kPatience;
  waiting->watcher =
      std::make_unique<FdWatcher>(loop_, waiting->connection.fd, [this, id](FdWatcher::Ready) { look(id); });
  waiting->watcher->watch(FdWatcher::Interest::Readable);
  const TimePoint until = waiting->until;
  waiting_.emplace(id, std::move(waiting));
  look_at(id, until);
}

// Not now: we may be inside a call of a worker's inbox, which is not to be given anything in the middle of that.
void NodeSessionDoor::on_session(const std::string& session) {
  const auto [first, last] = unknown_.equal_range(session);
  for (auto waiting = first; waiting != last; ++waiting) look_at(waiting->second, loop_.now());
}

std::vector<SavedConnection> NodeSessionDoor::save(FdList& fds) const {
  std::vector<SavedConnection> saved;
  for (const auto& [id, waiting] : waiting_) saved.push_back(save_connection(waiting->connection, fds));
  return saved;
}

void NodeSessionDoor::open() {
  while (!waiting_.empty()) let_through(waiting_.begin()->first, std::nullopt);
}

void NodeSessionDoor::look(std::uint64_t id) {
  Waiting& waiting = *waiting_.at(id);
  std::array<char, kLongestTarget> buffer;
  const Peeked peeked = peek(waiting.connection.fd, buffer);
  if (peeked.state == Peeked::State::Ended) return let_through(id, std::nullopt);  // the worker will see how
  if (peeked.state == Peeked::State::Empty) {
    waiting.watcher->watch(FdWatcher::Interest::Readable);
    return look_at(id, waiting.until);
  }
  waiting.watcher->watch(FdWatcher::Interest::None);
  const std::optional<std::string_view> target = target_in({buffer.data(), peeked.length});
  if (!target) return look_at(id, std::min(loop_.now() + kLookAgain, waiting.until));
  const std::string session(session_in(*target));
  if (session.empty()) return let_through(id, std::nullopt);
  const std::optional<SlotId> slot = hooks_.slot_of(session);
  if (slot || (waiting.unknown_until && loop_.now() >= *waiting.unknown_until)) return let_through(id, slot);
  if (!waiting.unknown_until) {
    waiting.unknown_until = loop_.now() + kAnnouncement;
    waiting.session = session;
    unknown_.emplace(session, id);
  }
  look_at(id, *waiting.unknown_until);
}

void NodeSessionDoor::look_at(std::uint64_t id, TimePoint when) {
  Waiting& waiting = *waiting_.at(id);
  due_.erase({waiting.due, id});
  waiting.due = when;
  due_.insert({when, id});
  timer_.arm(due_.begin()->first);
}

void NodeSessionDoor::let_through(std::uint64_t id, std::optional<SlotId> slot) {
  const std::shared_ptr<Waiting> waiting = std::move(waiting_.at(id));
  waiting_.erase(id);
  due_.erase({waiting->due, id});
  const auto [first, last] = unknown_.equal_range(waiting->session);
  const auto own = std::find_if(first, last, [&](const auto& entry) { return entry.second == id; });
  if (own != last) unknown_.erase(own);
  waiting->watcher->watch(FdWatcher::Interest::None);
  // We may be inside the watcher's callback.
  loop_.defer([watcher = std::shared_ptr<FdWatcher>(std::move(waiting->watcher))] {});
  hooks_.on_placed(std::move(waiting->connection), slot);
}

void NodeSessionDoor::on_due() {
  const TimePoint now = loop_.now();
  std::vector<std::uint64_t> due;
  for (auto next = due_.begin(); next != due_.end() && next->first <= now; ++next) due.push_back(next->second);
  for (const std::uint64_t id : due) {
    const auto waiting = waiting_.find(id);
    if (waiting == waiting_.end()) continue;
    if (now >= waiting->second->until) {
      let_through(id, std::nullopt);
    } else {
      look(id);
    }
  }
  timer_.arm(due_.empty() ? kNever : due_.begin()->first);
}

}  // namespace holdfast
