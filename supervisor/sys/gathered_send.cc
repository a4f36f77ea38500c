#include "sys/gathered_send.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace holdfast {

namespace {

constexpr std::size_t kMaxPieces = 128;
constexpr std::size_t kMaxFds = 64;

}  // namespace

Result<SendOutcome> send_gathered(BorrowedFd channel, std::span<const std::span<const std::byte>> pieces,
                                  std::span<const int> fds) {
  if (pieces.empty() || pieces.size() > kMaxPieces || fds.size() > kMaxFds)
    return Error{std::make_error_code(std::errc::invalid_argument), "send on a bus channel"};
  std::array<iovec, kMaxPieces> parts;
  for (std::size_t i = 0; i < pieces.size(); i++) {
    parts[i] = {const_cast<std::byte*>(pieces[i].data()), pieces[i].size()};  // sendmsg only reads
  }
  msghdr message{};
  message.msg_iov = parts.data();
  message.msg_iovlen = pieces.size();
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(int) * kMaxFds)> control;
  if (!fds.empty()) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(header), fds.data(), fds.size_bytes());
  }
  while (::sendmsg(channel.get(), &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0) {
    switch (errno) {
      case EINTR:
        continue;
      case EAGAIN:
      case ENOBUFS:
      case ENOMEM:
        return SendOutcome::WouldBlock;
      case ETOOMANYREFS:
        return SendOutcome::TooManyInFlight;
      case EPIPE:
      case ECONNRESET:
      case ENOTCONN:
        return SendOutcome::Gone;
      default:
        return last_error("send on a bus channel");
    }
  }
  return SendOutcome::Sent;
}

}  // namespace holdfast
