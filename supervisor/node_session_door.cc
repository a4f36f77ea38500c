#include "node_session_door.h"

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

constexpr std::size_t kMostWaiting = 4096;
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
  TimePoint look_at = kNever;
  std::optional<TimePoint> unknown_until;  // its session is not known yet
  std::unique_ptr<FdWatcher> watcher;
};

NodeSessionDoor::NodeSessionDoor(Loop& loop, Hooks hooks)
    : loop_(loop), hooks_(std::move(hooks)), timer_(loop, [this] { on_due(); }) {}

NodeSessionDoor::~NodeSessionDoor() = default;

bool NodeSessionDoor::take(Connection& connection) {
  if (waiting_.size() >= kMostWaiting) return false;
  const std::uint64_t id = connection.record.id;
  auto waiting = std::make_unique<Waiting>();
  waiting->connection = std::move(connection);
  waiting->until = loop_.now() + kPatience;
  waiting->watcher =
      std::make_unique<FdWatcher>(loop_, waiting->connection.fd, [this, id](FdWatcher::Ready) { look(id); });
  waiting->watcher->watch(FdWatcher::Interest::Readable);
  arm(waiting->until);
  waiting_.emplace(id, std::move(waiting));
  return true;
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
  if (peeked.state == Peeked::State::Empty) return waiting.watcher->watch(FdWatcher::Interest::Readable);
  const std::optional<std::string_view> target = target_in({buffer.data(), peeked.length});
  if (!target && loop_.now() < waiting.until) return look_again(waiting);
  const std::string session(session_in(target.value_or(std::string_view())));
  if (session.empty()) return let_through(id, std::nullopt);
  const std::optional<SlotId> slot = hooks_.slot_of(session);
  if (!waiting.unknown_until) waiting.unknown_until = loop_.now() + kAnnouncement;
  if (!slot && loop_.now() < *waiting.unknown_until) return look_again(waiting);
  let_through(id, slot);
}

void NodeSessionDoor::look_again(Waiting& waiting) {
  waiting.watcher->watch(FdWatcher::Interest::None);
  waiting.look_at = loop_.now() + kLookAgain;
  arm(waiting.look_at);
}

void NodeSessionDoor::let_through(std::uint64_t id, std::optional<SlotId> slot) {
  const std::shared_ptr<Waiting> waiting = std::move(waiting_.at(id));
  waiting_.erase(id);
  waiting->watcher->watch(FdWatcher::Interest::None);
  // We may be inside the watcher's callback.
  loop_.defer([watcher = std::shared_ptr<FdWatcher>(std::move(waiting->watcher))] {});
  hooks_.on_placed(std::move(waiting->connection), slot);
}

void NodeSessionDoor::on_due() {
  const TimePoint now = loop_.now();
  next_ = kNever;
  std::vector<std::uint64_t> due;
  for (const auto& [id, waiting] : waiting_) {
    if (now >= waiting->until || now >= waiting->look_at) due.push_back(id);
  }
  for (const std::uint64_t id : due) {
    if (!waiting_.contains(id)) continue;
    if (now >= waiting_.at(id)->until) {
      let_through(id, std::nullopt);
    } else {
      waiting_.at(id)->look_at = kNever;
      look(id);
    }
  }
  for (const auto& [id, waiting] : waiting_) arm(std::min(waiting->until, waiting->look_at));
}

void NodeSessionDoor::arm(TimePoint due) {
  if (due >= next_) return;
  next_ = due;
  timer_.arm(due);
}

}  // namespace holdfast
