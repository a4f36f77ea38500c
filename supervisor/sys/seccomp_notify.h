#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <variant>

#include "core/ip_address.h"
#include "core/result.h"
#include "sys/unique_fd.h"

namespace holdfast {

// The holder's side of seccomp user notification: a process with the filter of sys/bind_filter.h waits inside bind(2) or
// listen(2), and we say what becomes of it. The descriptor (`Child::capture`) is readable while a call waits, and hangs
// up when no process with the filter is left.
//
//   receive_call -> look at the caller (asked_address, socket_of) -> still_waits -> perhaps exchange_socket -> one answer
//
// While we look, the caller may be killed and its process id be given to another. So nothing that was seen counts before
// still_waits has said that it was seen in the right process; the answers check by themselves.
//
// To look at a process needs the right to trace it (PTRACE_MODE_ATTACH_REALCREDS): the same user and a program that the
// user may read, or CAP_SYS_PTRACE; kernel.yama.ptrace_scope up to 1 is enough, for it is a descendant. Linux 5.11.

struct InterceptedCall {
  enum class Kind : std::uint8_t { Bind, Listen };
  Kind kind = Kind::Bind;
  std::uint64_t id = 0;
  pid_t thread = 0;           // the caller
  int fd = -1;                // its number for the socket
  std::uint64_t address = 0;  // Bind: where the address is in its memory
  std::uint64_t length = 0;   // Bind: of the address, bytes, as the caller claims
};

enum class NoCall : std::uint8_t {
  Now,   // none waits; or the one that did has been interrupted
  Ever,  // no process with the filter is left
};

using CallOrNone = std::variant<InterceptedCall, NoCall>;
// Takes up the next call that waits. Never blocks, whatever the mode of the descriptor. A call that is neither bind nor
// listen, which our filter does not let come here, is let through and counts as none.
[[nodiscard]] Result<CallOrNone> receive_call(BorrowedFd notifications);

// Whether the caller still waits, and so is still who it was.
[[nodiscard]] bool still_waits(BorrowedFd notifications, const InterceptedCall& call);

// What a caller of bind asks for.
struct AskedAddress {
  enum class Family : std::uint8_t { Inet, Inet6, Unix, Other };
  Family family = Family::Other;
  IpAddress address;       // Inet and Inet6; a mapped address is IPv4
  std::uint16_t port = 0;  // likewise
  // As `-l` would have it: "127.0.0.1:80", "[::]:80", "unix:/path", "unix:@name"; "address family 16" for Other.
  std::string text;
};
// EFAULT: it points nowhere; EINVAL: its length is none that its family can have. In both cases the kernel will say the
// same to the caller. EPERM: we may not look. ESRCH: the caller is gone.
[[nodiscard]] Result<AskedAddress> asked_address(const InterceptedCall& call);

// A descriptor of ours (close-on-exec) for what the caller named. EBADF: nothing. EPERM, ESRCH: as above. EMFILE: ours.
[[nodiscard]] Result<UniqueFd> socket_of(const InterceptedCall& call);

// Whether the caller's descriptor is close-on-exec.
[[nodiscard]] Result<bool> closes_on_exec(const InterceptedCall& call);

// Puts `socket` in the place of the caller's, under the same number, as dup2(2) would; other descriptors for the
// caller's socket are left as they are. ENOENT, ESRCH: the caller does not wait any more.
[[nodiscard]] Outcome exchange_socket(BorrowedFd notifications, const InterceptedCall& call, BorrowedFd socket,
                                      bool close_on_exec);

enum class Answered : std::uint8_t {
  Delivered,
  // A signal or its death took the caller out of the call before. Not seen always: the caller may be on its way out when
  // it is answered (until Linux 6.17).
  Interrupted,
};
// Ends the call without the kernel: it returns 0, or fails with `error` (an errno) if that is not 0.
Answered answer_call(BorrowedFd notifications, const InterceptedCall& call, int error);
// Has the kernel do what was asked.
Answered let_call_through(BorrowedFd notifications, const InterceptedCall& call);

}  // namespace holdfast
