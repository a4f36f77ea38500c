#include "sys/datagram_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstring>

namespace holdfast {
namespace {

// Room for the sender and nothing else: descriptors that come along do not fit, and so the kernel closes them. They
// cannot leak, and none is needed to receive one that is not wanted.
struct ControlBuffer {
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(ucred))> bytes;
};

PeerCredentials sender_of(msghdr& message) {
  ucred sender{.pid = 0, .uid = static_cast<uid_t>(-1), .gid = static_cast<gid_t>(-1)};
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS &&
        header->cmsg_len >= CMSG_LEN(sizeof sender)) {
      std::memcpy(&sender, CMSG_DATA(header), sizeof sender);
    }
  }
  return PeerCredentials{sender.pid, sender.uid};
}

}  // namespace

Result<DatagramSocket> bind_datagram_socket() {
  const char* const doing = "make a socket for notifications";
  DatagramSocket socket{UniqueFd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)), "@"};
  if (!socket.fd) return last_error(doing);
  const int on = 1;
  // Ahead of the name: no datagram can come without its sender.
  if (::setsockopt(socket.fd.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0) return last_error(doing);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t length = sizeof address.sun_family;  // a family without a name: the kernel finds one
  if (::bind(socket.fd.get(), generic, length) != 0) return last_error(doing);
  length = sizeof address;
  if (::getsockname(socket.fd.get(), generic, &length) != 0) return last_error(doing);
  const std::size_t name = offsetof(sockaddr_un, sun_path) + 1;  // behind the zero that '@' stands for
  if (length <= name) return Error{std::make_error_code(std::errc::address_not_available), doing};
  socket.address.append(address.sun_path + 1, length - name);
  return socket;
}

Result<Datagram> receive_datagram(BorrowedFd socket, std::span<char> buffer) {
  iovec part{buffer.data(), buffer.size()};
  ControlBuffer control;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes.data();
  message.msg_controllen = control.bytes.size();
  ssize_t length = -1;
  do {
    length = ::recvmsg(socket.get(), &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  } while (length < 0 && errno == EINTR);
  Datagram datagram;
  if (length < 0) {
    if (errno == EAGAIN) return datagram;
    return last_error("receive a notification");
  }
  datagram.state = Datagram::State::Message;
  datagram.length = static_cast<std::size_t>(length);
  datagram.is_truncated = (message.msg_flags & MSG_TRUNC) != 0;
  datagram.had_descriptors = (message.msg_flags & MSG_CTRUNC) != 0;
  datagram.sender = sender_of(message);
  return datagram;
}

}  // namespace holdfast
