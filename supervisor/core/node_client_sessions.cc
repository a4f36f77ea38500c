#include "core/node_client_sessions.h"

#include <algorithm>

namespace holdfast {

namespace {

// More than a Node.js process can serve.
constexpr std::size_t kMostSessionsOfOne = std::size_t{1} << 18;
constexpr std::size_t kSessionLength = 20;  // Engine.IO: 15 bytes in base64url

bool is_of_a_session(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

}  // namespace

void NodeClientSessions::on_session(WorkerId worker, const NodeClientSession& session) {
  const auto known = workers_.find(session.id);
  if (!session.open) {
    if (known == workers_.end() || known->second != worker) return;
    sessions_of_[worker]--;
    workers_.erase(known);
  } else if (known == workers_.end() && session.id.size() == kSessionLength &&
             sessions_of_[worker] < kMostSessionsOfOne) {
    sessions_of_[worker]++;
    workers_.emplace(session.id, worker);
    newest_.emplace_back(session.id, worker);
    if (newest_.size() > kMostOfNewest) newest_.pop_front();
  }
}

void NodeClientSessions::on_gone(WorkerId worker) {
  if (sessions_of_.erase(worker) == 0) return;
  const auto is_of_it = [&](const auto& session) { return session.second == worker; };
  std::erase_if(workers_, is_of_it);
  std::erase_if(newest_, is_of_it);
}

std::optional<WorkerId> NodeClientSessions::worker_of(std::string_view id) const {
  const auto known = workers_.find(id);
  return known == workers_.end() ? std::nullopt : std::optional(known->second);
}

std::vector<NodeClientSessions::Saved> NodeClientSessions::newest() const {
  std::map<WorkerId, std::string> ids;
  const auto add = [&ids](const auto& sessions) {
    for (const auto& [id, worker] : sessions) ids[worker] += id;
  };
  if (workers_.size() <= kMostOfNewest) {
    add(workers_);
  } else {
    add(newest_);
  }
  std::vector<Saved> saved;
  saved.reserve(ids.size());
  for (auto& [worker, of_worker] : ids) saved.push_back({worker, std::move(of_worker)});
  return saved;
}

void NodeClientSessions::adopt(const Workers& workers) {
  for (const auto& [id, worker] : workers) on_session(worker, {id, true});
}

void NodeClientSessions::adopt(const std::vector<Saved>& newest) {
  for (const Saved& of_worker : newest) {
    for (std::size_t at = 0; at + kSessionLength <= of_worker.ids.size(); at += kSessionLength) {
      on_session(of_worker.worker, {of_worker.ids.substr(at, kSessionLength), true});
    }
  }
}

std::string_view session_in(std::string_view target) {
  std::size_t at = target.find('?');
  while (at != std::string_view::npos) {
    const std::size_t start = at + 1;
    at = target.find_first_of("&#", start);
    const std::string_view parameter = target.substr(start, at - start);
    if (!parameter.starts_with("sid=")) continue;
    const std::string_view id = parameter.substr(4);
    return id.size() == kSessionLength && std::all_of(id.begin(), id.end(), is_of_a_session) ? id : std::string_view();
  }
  return {};
}

}  // namespace holdfast
