#pragma once

#include <functional>
#include <list>
#include <memory>
#include <string>

#include "control/control_connection.h"
#include "core/listen_address.h"
#include "core/result.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sys/unique_fd.h"
#include "wire/control_message.h"

namespace holdfast {

// The supervisor's end of the control socket (wire/control_message.h): listens on a Unix path that only its user may
// open, checks who connected, reads one request from each client and gives it to the handler together with the reply.
//
// No client can harm it: there are at most 32 that ask, each has five seconds for its request and five for taking its
// answer, and 64 KiB for the request; nothing here ever waits. Those whose request says "wait" may stay for long, so they
// have a bound of their own: however many there are, a question is answered. It answers even when the supervisor has no descriptor left,
// because it keeps a spare one: that is when its operator needs it most.
//
// Destroying it closes every connection and removes the file. Not from inside the handler (Loop::defer).
class ControlServer {
 public:
  // May answer at once, or keep the reply and answer in another turn.
  using Handler = std::function<void(ControlRequest request, ControlReply reply)>;

  // A request is one write of a program; nobody types it.
  static constexpr Duration kPatience = std::chrono::seconds(5);

  // Errors: those of `listen_on`. The directory must be there (sys/control_path.h).
  [[nodiscard]] static Result<std::unique_ptr<ControlServer>> create(Loop& loop, const std::string& path,
                                                                     Handler handler, Duration patience = kPatience);
  // Goes on with the socket of another one at the same path.
  [[nodiscard]] static std::unique_ptr<ControlServer> adopt(Loop& loop, const std::string& path, UniqueFd listener,
                                                            Handler handler, Duration patience = kPatience);
  [[nodiscard]] BorrowedFd socket() const { return listener_; }
  ~ControlServer();
  ControlServer(const ControlServer&) = delete;
  ControlServer& operator=(const ControlServer&) = delete;

 private:
  ControlServer(Loop& loop, UnixAddress address, UniqueFd listener, UniqueFd spare, Handler handler, Duration patience);

  void on_connections();
  void welcome(UniqueFd connection);
  void hear(ControlRequest request, ControlReply reply);
  [[nodiscard]] std::size_t waiting_by_wish() const;
  void pause();
  void on_ended(const ControlConnection& connection);
  void free_ended();
  void take_spare();

  Loop& loop_;
  UnixAddress address_;
  UniqueFd listener_;
  UniqueFd spare_;  // given up for one client when no descriptor is left
  Handler handler_;
  Duration patience_;
  std::list<std::shared_ptr<ControlConnection>> clients_;
  std::list<std::shared_ptr<ControlConnection>> ended_;  // until none of their functions is on the stack
  std::shared_ptr<ControlServer*> alive_;                // lets deferred work see that the server is gone
  FdWatcher watcher_;
  Timer resume_;
};

}  // namespace holdfast
