#include "core/open_connections.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/text.h"

namespace holdfast {

namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() ? std::optional(port) : std::nullopt;
}

}  // namespace

std::string to_text(const ConnectionEnds& ends) {
  return ends.local.text() + " " + std::to_string(ends.local_port) + " " + ends.remote.text() + " " +
         std::to_string(ends.remote_port);
}

std::optional<ConnectionEnds> parse_ends(std::string_view text) {
  const std::optional<IpAddress> local = IpAddress::parse(take_until(text, ' '));
  const std::optional<std::uint16_t> local_port = parse_port(take_until(text, ' '));
  const std::optional<IpAddress> remote = IpAddress::parse(take_until(text, ' '));
  const std::optional<std::uint16_t> remote_port = parse_port(text);
  if (!local || !local_port || !remote || !remote_port) return std::nullopt;
  return ConnectionEnds{*local, *remote, *local_port, *remote_port};
}

std::size_t OpenConnections::Hash::operator()(const ConnectionEnds& ends) const {
  constexpr KeyPrefix kWhole{32, 128};
  const std::uint32_t ports = std::uint32_t{ends.local_port} << 16 | ends.remote_port;
  return mix(hash_address(ends.remote, kWhole, key) ^ mix(hash_address(ends.local, kWhole, key) ^ ports));
}

std::optional<OpenConnections::Connection> OpenConnections::add(const Connection& connection) {
  std::optional<Connection> before = remove(connection.ends);
  std::uint32_t index = 0;
  if (free_.empty()) {
    index = static_cast<std::uint32_t>(entries_.size());
    entries_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  entries_[index] = Entry{connection, index, index, true};
  by_ends_.emplace(connection.ends, index);
  link(index);
  return before;
}

std::optional<OpenConnections::Connection> OpenConnections::remove(const ConnectionEnds& ends) {
  const auto found = by_ends_.find(ends);
  if (found == by_ends_.end()) return std::nullopt;
  const std::uint32_t index = found->second;
  by_ends_.erase(found);
  unlink(index);
  free_.push_back(index);
  entries_[index].is_used = false;
  return entries_[index].connection;
}

std::vector<OpenConnections::Connection> OpenConnections::next_of(std::uint64_t group, std::size_t most) {
  std::vector<Connection> connections;
  const auto found = groups_.find(group);
  if (found == groups_.end()) return connections;
  const std::uint32_t first = found->second;
  while (connections.size() < most) {
    connections.push_back(entries_[found->second].connection);
    found->second = entries_[found->second].after;
    if (found->second == first) break;
  }
  return connections;
}

std::vector<OpenConnections::Connection> OpenConnections::next(std::size_t most) {
  std::vector<Connection> connections;
  for (std::size_t looked = 0; looked < entries_.size() && connections.size() < most; looked++) {
    cursor_ = (cursor_ + 1) % entries_.size();
    if (entries_[cursor_].is_used) connections.push_back(entries_[cursor_].connection);
  }
  return connections;
}

std::vector<OpenConnections::Connection> OpenConnections::some(std::size_t most) const {
  std::vector<Connection> connections;
  connections.reserve(std::min(most, by_ends_.size()));
  for (const auto& [ends, index] : by_ends_) {
    if (connections.size() == most) break;
    connections.push_back(entries_[index].connection);
  }
  return connections;
}

// As the last of its group: just ahead of the one that is next.
void OpenConnections::link(std::uint32_t index) {
  const auto [group, is_new] = groups_.emplace(entries_[index].connection.group, index);
  if (is_new) return;
  const std::uint32_t after = group->second, before = entries_[after].before;
  entries_[index].before = before;
  entries_[index].after = after;
  entries_[before].after = index;
  entries_[after].before = index;
}

void OpenConnections::unlink(std::uint32_t index) {
  const Entry& entry = entries_[index];
  const auto group = groups_.find(entry.connection.group);
  if (entry.after == index) {
    groups_.erase(group);
    return;
  }
  if (group->second == index) group->second = entry.after;
  entries_[entry.before].after = entry.after;
  entries_[entry.after].before = entry.before;
}

}  // namespace holdfast
