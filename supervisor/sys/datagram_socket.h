#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "core/result.h"
#include "sys/stream.h"
#include "sys/unique_fd.h"

namespace holdfast {

// Datagrams of processes on this machine, each with who sent it. The name is in the abstract name space, where no file
// can be left behind, and no permission keeps anyone of the same network name space from sending: look at the sender.
struct DatagramSocket {
  UniqueFd fd;          // non-blocking, close-on-exec
  std::string address;  // "@0001a": chosen by the kernel
};
[[nodiscard]] Result<DatagramSocket> bind_datagram_socket();

struct Datagram {
  enum class State { Message, WouldBlock };
  State state = State::WouldBlock;
  std::size_t length = 0;        // bytes written into the caller's buffer
  bool is_truncated = false;     // it was longer than the buffer
  bool had_descriptors = false;  // they were closed by the kernel and never were ours
  PeerCredentials sender;        // as the kernel vouches for it
};
[[nodiscard]] Result<Datagram> receive_datagram(BorrowedFd socket, std::span<char> buffer);

}  // namespace holdfast
