#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "sys/unique_fd.h"

namespace holdfast {

struct ChannelPair {
  UniqueFd supervisor_end;
  UniqueFd worker_end;
};
// Both ends of a slot's channel: a SOCK_SEQPACKET pair, non-blocking, close-on-exec. The supervisor keeps both: what is
// queued survives every worker, and can be read back.
// `send_buffer` bytes are asked for (SO_SNDBUF; the kernel caps it), 0: the default.
[[nodiscard]] Result<ChannelPair> make_channel(std::size_t send_buffer);

enum class SendOutcome {
  Sent,
  WouldBlock,       // EAGAIN, ENOBUFS, ENOMEM: the queue is full; the channel becomes writable again
  TooManyInFlight,  // ETOOMANYREFS: this user has too many descriptors in flight (unix(7)); try again when some were
                    // taken up
  Gone,             // EPIPE, ECONNRESET, ENOTCONN: nobody holds the other end
};
// One message with up to 253 descriptors. On any outcome the caller still owns `fds`. Any other errno is a Result's
// error.
[[nodiscard]] Result<SendOutcome> send_with_fds(BorrowedFd channel, std::span<const std::byte> bytes,
                                                std::span<const int> fds);

// The same for a stream: what there is no room for is left over. The descriptor goes with the first byte; one for each
// call, because a receiver that reads bytes gets the descriptors of several calls as if they were one's.
struct SentPart {
  SendOutcome outcome = SendOutcome::Sent;
  std::size_t length = 0;  // bytes that went; none unless Sent
};
[[nodiscard]] Result<SentPart> send_part(BorrowedFd stream, std::string_view bytes, std::optional<BorrowedFd> fd);

// Both ends of a Node.js worker's channel: a SOCK_STREAM pair, close-on-exec; ours is non-blocking.
[[nodiscard]] Result<ChannelPair> make_stream_channel();

struct Received {
  enum class State { Message, WouldBlock, Closed };
  State state = State::WouldBlock;
  std::size_t length = 0;     // bytes written into the caller's buffer
  bool truncated = false;     // MSG_TRUNC: the message was longer than the buffer
  bool fds_lost = false;      // MSG_CTRUNC: the kernel dropped descriptors, because we are at our limit
  std::vector<UniqueFd> fds;  // close-on-exec
};
// One message, at most 253 descriptors. Of a stream: what is there, up to the end of what came with one descriptor.
// Non-blocking whatever the descriptor's mode.
[[nodiscard]] Result<Received> receive_with_fds(BorrowedFd channel, std::span<std::byte> buffer);

// Bytes of whole messages that wait to be read at `receiving_end` (SIOCINQ): because every message's size is known to
// the sender, this tells exactly which messages were taken, without asking anyone.
[[nodiscard]] Result<std::size_t> unread_bytes(BorrowedFd receiving_end);

}  // namespace holdfast
