#include "sys/fd_passing.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstring>

namespace holdfast {
namespace {

constexpr std::size_t kMaxFdsPerMessage = 253;  // the kernel's SCM_MAX_FD

// Room for the control message of a full message. Deliberately not zeroed: the hot path writes only what it sends.
struct ControlBuffer {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * kMaxFdsPerMessage)> bytes;
};

// Takes every descriptor of a received message, so that none can leak.
std::vector<UniqueFd> take_fds(msghdr& message) {
  std::vector<UniqueFd> fds;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    std::array<int, kMaxFdsPerMessage> numbers{};
    std::memcpy(numbers.data(), CMSG_DATA(header), count * sizeof(int));
    fds.reserve(fds.size() + count);
    for (std::size_t i = 0; i < count; ++i) fds.emplace_back(numbers[i]);
  }
  return fds;
}

// An empty message and the end of a channel look alike; but only the latter has a peer that hung up and nothing left.
bool is_at_end(BorrowedFd channel) {
  pollfd state{channel.get(), POLLRDHUP, 0};
  if (::poll(&state, 1, 0) <= 0 || (state.revents & (POLLRDHUP | POLLHUP)) == 0) return false;
  const Result<std::size_t> rest = unread_bytes(channel);
  return !rest || *rest == 0;
}

Result<SentPart> send_message(BorrowedFd channel, std::span<const std::byte> bytes, std::span<const int> fds) {
  const std::string doing = "send on a channel";
  // An empty message could not be told from the end of the channel.
  if (bytes.empty() || fds.size() > kMaxFdsPerMessage)
    return Error{std::make_error_code(std::errc::invalid_argument), doing};

  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};  // sendmsg only reads
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ControlBuffer control;
  if (!fds.empty()) {
    message.msg_control = control.bytes.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  ssize_t length = -1;
  while ((length = ::sendmsg(channel.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL)) < 0) {
    switch (errno) {
      case EINTR:
        continue;
      case EAGAIN:
      case ENOBUFS:
      case ENOMEM:
        return SentPart{SendOutcome::WouldBlock, 0};
      case ETOOMANYREFS:
        return SentPart{SendOutcome::TooManyInFlight, 0};
      case EPIPE:
      case ECONNRESET:
      case ECONNREFUSED:
      case ENOTCONN:
        return SentPart{SendOutcome::Gone, 0};
      default:
        return last_error(doing);
    }
  }
  return SentPart{SendOutcome::Sent, static_cast<std::size_t>(length)};
}

}  // namespace

Result<ChannelPair> make_channel(std::size_t send_buffer) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return last_error("create a channel");
  }
  ChannelPair channel{UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (send_buffer > 0) {
    const int size = static_cast<int>(std::min<std::size_t>(send_buffer, INT_MAX / 2));  // the kernel doubles it
    if (::setsockopt(channel.supervisor_end.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size) != 0) {
      return last_error("set the send buffer of a channel");
    }
  }
  return channel;
}

Result<SendOutcome> send_with_fds(BorrowedFd channel, std::span<const std::byte> bytes, std::span<const int> fds) {
  const Result<SentPart> sent = send_message(channel, bytes, fds);
  if (!sent) return sent.error();
  return sent->outcome;
}

Result<SentPart> send_part(BorrowedFd stream, std::string_view bytes, std::optional<BorrowedFd> fd) {
  const int number = fd ? fd->get() : -1;
  return send_message(stream, std::as_bytes(std::span(bytes)), std::span(&number, fd ? 1 : 0));
}

Result<ChannelPair> make_stream_channel() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return last_error("create a channel");
  ChannelPair channel{UniqueFd(ends[0]), UniqueFd(ends[1])};
  if (::fcntl(channel.supervisor_end.get(), F_SETFL, O_NONBLOCK) != 0) return last_error("create a channel");
  return channel;
}

Result<Received> receive_with_fds(BorrowedFd channel, std::span<std::byte> buffer) {
  iovec part{buffer.data(), buffer.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  ControlBuffer control;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();

  ssize_t length = -1;
  do {
    length = ::recvmsg(channel.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (length < 0 && errno == EINTR);

  Received received;
  if (length < 0) {
    if (errno == EAGAIN) return received;
    if (errno != ECONNRESET) return last_error("receive from a channel");
    received.state = Received::State::Closed;  // the peer went away without reading what we sent
    return received;
  }
  received.state = Received::State::Message;
  received.length = static_cast<std::size_t>(length);
  received.truncated = (message.msg_flags & MSG_TRUNC) != 0;
  received.fds_lost = (message.msg_flags & MSG_CTRUNC) != 0;
  received.fds = take_fds(message);
  if (length == 0 && received.fds.empty() && !received.fds_lost && is_at_end(channel)) {
    received.state = Received::State::Closed;
  }
  return received;
}

Result<std::size_t> unread_bytes(BorrowedFd receiving_end) {
  int count = 0;
  if (::ioctl(receiving_end.get(), SIOCINQ, &count) != 0) return last_error("count what waits in a channel");
  return static_cast<std::size_t>(count);
}

}  // namespace holdfast
