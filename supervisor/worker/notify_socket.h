#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/result.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "sys/datagram_socket.h"
#include "wire/notify_message.h"

namespace holdfast {

// Where one worker says how it is (sd_notify(3)): its NOTIFY_SOCKET. Any process can send to it, so a message counts only
// if its sender has the user of the worker, or ours. Children of the worker speak for it: a shell script that runs
// systemd-notify is a worker like another.
//
// Descriptors that come along (FDSTORE=1) are closed: no worker keeps anything with us. That is also the whole of
// BARRIER=1, which waits for that close: what was sent before it has been heard by then.
class NotifySocket {
 public:
  // `sender` is for log lines: it may have ended already. The socket must not be destroyed from inside the call.
  using OnMessage = std::function<void(const NotifyMessage& message, pid_t sender)>;

  [[nodiscard]] static Result<std::unique_ptr<NotifySocket>> create(Loop& loop, uid_t worker_user,
                                                                    OnMessage on_message);
  // Goes on with one that another supervisor has bound; workers know its address.
  [[nodiscard]] static std::unique_ptr<NotifySocket> adopt(Loop& loop, DatagramSocket socket, uid_t worker_user,
                                                           OnMessage on_message);
  [[nodiscard]] BorrowedFd descriptor() const { return socket_.fd; }
  [[nodiscard]] uid_t worker_user() const { return worker_user_; }
  NotifySocket(const NotifySocket&) = delete;
  NotifySocket& operator=(const NotifySocket&) = delete;

  // What NOTIFY_SOCKET is to be set to, "@0001a". It is good in the network name space of the supervisor only.
  [[nodiscard]] const std::string& address() const { return socket_.address; }

  // The worker has ended: hears what it said last. It never waits, and it ends however much others go on sending.
  void on_ended();

  // Datagrams that did not count.
  struct Ignored {
    std::uint64_t strangers = 0;  // from another user
    std::uint64_t garbage = 0;    // no message: too long, or not text
  };
  [[nodiscard]] Ignored ignored() const { return ignored_; }

 private:
  NotifySocket(Loop& loop, DatagramSocket socket, uid_t worker_user, OnMessage on_message);
  void read(int at_most);
  [[nodiscard]] bool may_speak(const PeerCredentials& sender) const;

  DatagramSocket socket_;
  uid_t worker_user_;
  OnMessage on_message_;
  Ignored ignored_;
  FdWatcher watcher_;
};

}  // namespace holdfast
