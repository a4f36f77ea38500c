#include "listener/census.h"

#include <utility>
#include <vector>

#include "sys/sockets.h"

namespace holdfast {

namespace {

constexpr std::size_t kSweep = 32;       // newcomers between two sweeps, each of twice as many
constexpr std::size_t kMostAtOnce = 64;  // of a group
constexpr std::size_t kMostOfAll = 256;
// After so many questions we rest for the time that makes them 5 % of a CPU at 2 us each.
constexpr Duration kRestForEach = std::chrono::microseconds(40);

}  // namespace

Result<std::unique_ptr<Census>> Census::create(HashKey key, OnClosed on_closed) {
  Result<TcpStates> states = TcpStates::open();
  if (!states) return std::move(states).error();
  return std::unique_ptr<Census>(new Census(key, *std::move(states), std::move(on_closed)));
}

Census::Census(HashKey key, TcpStates states, OnClosed on_closed)
    : connections_(key), states_(std::move(states)), on_closed_(std::move(on_closed)) {}

bool Census::add(BorrowedFd connection, std::uint64_t group, std::uint64_t note) {
  const std::optional<ConnectionEnds> ends = ends_of(connection);
  if (!ends) return false;
  if (const std::optional<Connection> before = connections_.add({*ends, group, note})) on_closed_(*before);
  if (++unswept_ < kSweep) return true;
  unswept_ = 0;
  (void)ask_about(connections_.next(2 * kSweep));
  return true;
}

void Census::recall(const Connection& connection) {
  if (const std::optional<Connection> before = connections_.add(connection)) on_closed_(*before);
}

void Census::recount(std::uint64_t group, TimePoint now) {
  if (!may_ask(now)) return;
  const std::vector<Connection> asked = connections_.next_of(group, kMostAtOnce);
  (void)ask_about(asked);
  rest_after(asked.size(), now);
}

void Census::recount_all(TimePoint now) {
  if (!may_ask(now)) return;
  const std::vector<Connection> asked = connections_.next(kMostOfAll);
  (void)ask_about(asked);
  rest_after(asked.size(), now);
}

std::optional<Census::Connection> Census::one_of(std::uint64_t group) {
  const std::vector<Connection> one = connections_.next_of(group, 1);
  return one.empty() ? std::nullopt : std::optional(one.front());
}

std::optional<Census::Connection> Census::open_one_of(std::uint64_t group) {
  constexpr std::size_t kFew = 4;
  for (std::size_t asked = 0; asked < kMostAtOnce; asked += kFew) {
    const std::vector<Connection> few = connections_.next_of(group, kFew);
    if (few.empty()) break;
    if (const std::vector<Connection> open = ask_about(few); !open.empty()) return open.front();
  }
  return std::nullopt;
}

std::vector<Census::Connection> Census::ask_about(const std::vector<Connection>& connections) {
  std::vector<Connection> still_open;
  std::vector<ConnectionEnds> ends;
  ends.reserve(connections.size());
  for (const Connection& connection : connections) ends.push_back(connection.ends);
  const std::vector<bool> open = states_.are_open(ends);
  for (std::size_t i = 0; i < connections.size(); i++) {
    if (open[i]) {
      still_open.push_back(connections[i]);
    } else {
      connections_.remove(connections[i].ends);
      on_closed_(connections[i]);
    }
  }
  return still_open;
}

void Census::rest_after(std::size_t questions, TimePoint now) {
  next_question_ = now + static_cast<Duration::rep>(questions) * kRestForEach;
}

}  // namespace holdfast
