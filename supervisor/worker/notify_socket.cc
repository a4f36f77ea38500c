#include "worker/notify_socket.h"

#include <unistd.h>

#include <array>
#include <string_view>
#include <utility>

namespace holdfast {

namespace {

// Of one worker in one turn of the loop: one that never stops talking does not keep us from the others.
constexpr int kMessagesPerTurn = 8;
// More than can wait: net.unix.max_dgram_qlen is 10, or 512 where systemd has raised it.
constexpr int kMessagesAtTheEnd = 1024;

}  // namespace

Result<std::unique_ptr<NotifySocket>> NotifySocket::create(Loop& loop, uid_t worker_user, OnMessage on_message) {
  Result<DatagramSocket> socket = bind_datagram_socket();
  if (!socket) return std::move(socket).error();
  return std::unique_ptr<NotifySocket>(new NotifySocket(loop, *std::move(socket), worker_user, std::move(on_message)));
}

std::unique_ptr<NotifySocket> NotifySocket::adopt(Loop& loop, DatagramSocket socket, uid_t worker_user,
                                                  OnMessage on_message) {
  return std::unique_ptr<NotifySocket>(new NotifySocket(loop, std::move(socket), worker_user, std::move(on_message)));
}

NotifySocket::NotifySocket(Loop& loop, DatagramSocket socket, uid_t worker_user, OnMessage on_message)
    : socket_(std::move(socket)),
      worker_user_(worker_user),
      on_message_(std::move(on_message)),
      watcher_(loop, socket_.fd, [this](FdWatcher::Ready) { read(kMessagesPerTurn); }) {
  watcher_.watch(FdWatcher::Interest::Readable);
}

void NotifySocket::on_ended() { read(kMessagesAtTheEnd); }

void NotifySocket::read(int at_most) {
  std::array<char, kMaxNotifyDatagram> buffer;
  for (int i = 0; i < at_most; ++i) {
    const Result<Datagram> datagram = receive_datagram(socket_.fd, buffer);
    // An error is one of the machine (no memory), and the next turn tries again.
    if (!datagram || datagram->state != Datagram::State::Message) return;
    if (!may_speak(datagram->sender)) {
      ++ignored_.strangers;
      continue;
    }
    const Result<NotifyMessage> message =
        datagram->is_truncated ? Error{std::make_error_code(std::errc::message_size), "read a notification"}
                               : parse_notify_message(std::string_view(buffer.data(), datagram->length));
    if (message) {
      on_message_(*message, datagram->sender.pid);
    } else {
      ++ignored_.garbage;
    }
  }
}

bool NotifySocket::may_speak(const PeerCredentials& sender) const {
  return sender.user == worker_user_ || sender.user == ::geteuid();
}

}  // namespace holdfast
