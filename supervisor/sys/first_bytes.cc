#include "sys/first_bytes.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace holdfast {

namespace {

ssize_t receive(BorrowedFd connection, std::span<char> buffer, int flags) {
  ssize_t length = 0;
  do {
    length = ::recv(connection.get(), buffer.data(), buffer.size(), flags | MSG_DONTWAIT);
  } while (length < 0 && errno == EINTR);
  return length;
}

}  // namespace

Peeked peek(BorrowedFd connection, std::span<char> buffer) {
  const ssize_t length = receive(connection, buffer, MSG_PEEK);
  if (length > 0) return {Peeked::State::Bytes, static_cast<std::size_t>(length)};
  const bool later = length < 0 && (errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM);
  return {later ? Peeked::State::Empty : Peeked::State::Ended, 0};
}

bool take_bytes(BorrowedFd connection, std::size_t length) {
  std::array<char, 4096> buffer;
  while (length > 0) {
    const ssize_t taken = receive(connection, std::span(buffer).first(std::min(length, buffer.size())), 0);
    if (taken <= 0) return false;
    length -= static_cast<std::size_t>(taken);
  }
  return true;
}

void report_from(BorrowedFd connection, std::size_t bytes) {
  const int least = static_cast<int>(bytes);
  (void)::setsockopt(connection.get(), SOL_SOCKET, SO_RCVLOWAT, &least, sizeof least);  // without it we look more often
}

Result<ArrivalWatch> ArrivalWatch::create() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return last_error("make an epoll instance for the first bytes of connections");
  return ArrivalWatch(std::move(epoll));
}

Outcome ArrivalWatch::add(BorrowedFd connection, std::uint64_t token) {
  epoll_event wanted{};
  wanted.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
  wanted.data.u64 = token;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, connection.get(), &wanted) < 0)
    return last_error("watch a connection for its first bytes");
  return Done{};
}

void ArrivalWatch::remove(BorrowedFd connection) {
  (void)::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, connection.get(), nullptr);
}

std::size_t ArrivalWatch::take(std::span<Arrival> arrivals) {
  std::array<epoll_event, 256> events;
  const int most = static_cast<int>(std::min(arrivals.size(), events.size()));
  const int count = ::epoll_wait(epoll_.get(), events.data(), most, 0);
  for (int i = 0; i < count; i++) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    arrivals[static_cast<std::size_t>(i)] = {event.data.u64, (event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0};
  }
  return static_cast<std::size_t>(std::max(count, 0));
}

}  // namespace holdfast
