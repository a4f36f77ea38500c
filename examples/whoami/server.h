#pragma once

#include <holdfast/worker.hpp>

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "request.h"

namespace whoami {

using Time = std::chrono::steady_clock::time_point;
struct Client;
using Timers = std::multimap<Time, Client*>;

// What a connection is doing; exactly one thing at a time.
enum class Doing {
  Reading,    // waits for a request, or for the rest of one
  Waiting,    // a /slow request waits for its time; nothing is read meanwhile
  Writing,    // an answer did not fit into the socket
  Lingering,  // answered and closed for writing; reads and drops what still comes, so that a reset does not destroy the
              // answer
};

struct Client {
  holdfast::Connection connection;
  hf_address remote{};
  std::uint64_t id = 0;
  std::uint16_t listener = 0;
  hf_plane plane = HF_PLANE_PASS;
  std::string proxy;  // what a proxy told of it, as members of the answer
  Doing doing = Doing::Reading;
  Persistence after_answer = Persistence::KeepAlive;
  bool lingers = false;  // close by way of Lingering
  bool was_answered = false;
  std::uint32_t watched = 0;  // epoll events; 0 with is_registered: only errors
  bool is_registered = false;
  std::size_t index = 0;  // in Server::open_
  Timers::iterator timer;
  bool has_timer = false;
  std::string in;       // read and not yet served
  std::string out;      // not yet sent
  std::string delayed;  // the answer of a /slow request, until its time
};

// An HTTP/1.1 server on the worker SDK: one thread, one epoll loop. A connection is tried at once when it arrives, so
// that a short one costs three system calls: recv, send, close.
class Server {
 public:
  explicit Server(holdfast::Worker worker);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  // Serves until it is drained. Returns the exit code.
  int run();

 private:
  enum class Buffered { NeedsMore, MayHoldMore };  // what is left in `in` after serving
  enum class Sent { All, NotAll };

  void take_up();
  void on_arrival(holdfast::Arrival arrival);
  [[nodiscard]] std::string proxy_text(const holdfast::Arrival& arrival) const;
  void on_client(Client& client, std::uint32_t events);
  void on_timer(Client& client);
  void read(Client& client);
  void advance(Client& client);
  Buffered serve_buffered(Client& client);
  void serve(Client& client, const Request& request);
  void serve_slow(Client& client, const Request& request);
  void refuse(Client& client, std::string_view status);
  void answer(Client& client, const Request& request);
  void leave(const Client& client, int code);
  Sent send(Client& client);
  void finish(Client& client);
  void drop_input(Client& client);
  void close(Client& client);
  void watch(Client& client, std::uint32_t events);
  void set_timer(Client& client, Time time);
  void clear_timer(Client& client);

  void begin_drain(Time deadline);
  void spread_out();
  [[nodiscard]] bool is_to_go(const Client& client) const;
  void close_idle();
  [[nodiscard]] int timeout() const;
  [[nodiscard]] bool is_finished() const;

  holdfast::Worker worker_;
  int epoll_;
  bool is_well_ = true;    // what /healthz says
  bool has_more_ = false;  // connections of a batch wait in the SDK
  // The JSON in pieces: head_, the client's address, then those of its listener and its plane.
  std::string head_;
  std::vector<std::string> listeners_;
  std::array<std::string, HF_PLANE_SELF + 1> planes_;
  std::vector<std::unique_ptr<Client>> open_;
  std::vector<std::unique_ptr<Client>> spare_;  // kept for the next connections, with their buffers
  Timers timers_;
  std::optional<Time> drain_deadline_;
  std::vector<Time> sweeps_;  // when idle connections are closed while draining, latest first
  bool spreads_ = false;      // each connection has a moment of its own to go (Worker::close_at)
};

}  // namespace whoami
