#pragma once

#include <cstdint>
#include <span>

#include "core/group_address.h"
#include "core/result.h"
#include "core/steering_program.h"
#include "sys/sockets.h"
#include "sys/unique_fd.h"

namespace holdfast {

// The sockets of a steer group: SO_REUSEPORT sockets of one user, bound to one address, of which a program of the group
// chooses one for each new connection or datagram by its index.
//
// The index is the order of joining: of listen() for TCP, of bind() for UDP. A TCP listener leaves the group when its
// last descriptor is closed or when *anybody* that holds it calls shutdown(); then the last member takes its index. So
// whoever counts indexes must be the only one who lets members join and leave, and must know when a worker does it.
// None of this needs a privilege.
//
// All sockets are non-blocking, close-on-exec and, for TCP, SO_REUSEADDR and listening. (UDP with SO_REUSEADDR would let
// anybody with the same option in.)

struct GroupSocket {
  UniqueFd fd;
  GroupAddress bound;  // with the port that the kernel chose
};
// The first member, index 0. It holds the address alone first: whoever else has it, a second supervisor too, makes this
// EADDRINUSE. (With a sibling the address is shared from the start, and the sibling's first member is the guard.) A
// program that answers 0 is in force before anybody can connect.
// Errors: what bind and listen say; EAFNOSUPPORT or EADDRNOTAVAIL without IPv6; what `attach_program` says.
[[nodiscard]] Result<GroupSocket> open_control_socket(const GroupAddress& address, int backlog, Sibling sibling);

// The same from a socket that somebody else has opened with SO_REUSEPORT, and that is alone in its group: the same open
// file description. `address` is what it is bound to.
[[nodiscard]] Result<GroupSocket> share_control_socket(BorrowedFd socket, const GroupAddress& address);

// One more member, behind all others. It cannot be used to change the program (SO_LOCK_FILTER), only to remove it.
[[nodiscard]] Result<UniqueFd> open_member_socket(const GroupAddress& address, int backlog);

// Makes `program` the group's in one step: every connection is decided by the old or by the new one. `member` must be
// the control socket; a member that was shut down could never listen again.
// Errors: ENOMEM (no room: a smaller program may fit), EINVAL (no program of ours is), EPERM or ENOPROTOOPT (this system
// does not offer it: a sandbox perhaps), ENOSYS.
[[nodiscard]] Outcome attach_program(BorrowedFd member, std::span<const BpfInstruction> program);

// False once somebody has called shutdown on a TCP member: it is no longer in the group. A shutdown that is under way is
// waited for. Not for the control socket: the question locks the program of whom it is asked.
[[nodiscard]] bool is_listening(BorrowedFd member);

// Shuts a TCP member down if nobody did yet, and takes from it the right to join again, whoever may still hold it.
void expel(BorrowedFd member);

// Connections that are complete and wait to be accepted; 0 if it does not listen.
[[nodiscard]] std::uint32_t accept_queue_length(BorrowedFd member);
// Memory that waiting datagrams take, in bytes of the kernel's account; 0 if none waits.
[[nodiscard]] std::uint32_t receive_queue_bytes(BorrowedFd member);
// Throws away what waits at a UDP socket, up to some hundreds; answers the number of datagrams.
std::uint64_t discard_datagrams(BorrowedFd member);

// Accepting must never wait, but a worker may have made the shared description blocking.
void make_nonblocking(BorrowedFd member);
[[nodiscard]] bool is_nonblocking(BorrowedFd member);

}  // namespace holdfast
