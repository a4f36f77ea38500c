#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "answer.h"
#include "report.h"
#include "target.h"

namespace holdfast {

struct LoadOptions {
  enum class Mode {
    Short,  // connect, one request, its answer, close; and again
    Keep,   // at_a_time connections, one request after the other on each
    Hold,   // `limit` connections with one answer each, then kept open in silence
  };
  // Progress: a line of JSON as soon as `at_a_time` requests are under way, all connections are held (those that failed
  // aside), or the measuring of Keep begins; for a script that waits for that moment.
  enum class Announce { Nothing, Progress };

  Mode mode = Mode::Short;
  Target target;
  std::string path = "/";
  std::string field;     // a header field of each request; {source} is the number of the client's source. Empty: none
  bool proxied = false;  // each connection begins with a PROXY header (version 2) that names the client's source
  std::uint32_t at_a_time = 64;
  std::uint64_t limit = 100'000;  // connections; for Keep requests
  std::chrono::nanoseconds time_limit = std::chrono::seconds(10);
  std::chrono::nanoseconds timeout = std::chrono::seconds(5);  // from connect (or request) to the whole answer
  std::uint32_t sources = 1000;
  Report::Stickiness stickiness = Report::Stickiness::Ignored;
  Announce announce = Announce::Nothing;
  std::string stop_file;  // the load ends when it exists; empty: none
};

// The clients of one run: one thread, one epoll set, at most `at_a_time` requests under way. Bounded by count and by
// time; SIGINT and SIGTERM end it early (what is under way may finish; a second signal abandons it). The program shares
// its processors with the servers it measures, so it makes as few system calls as it can: the request is sent in the
// same breath as the connect, which on loopback has succeeded by then.
class Clients {
 public:
  Clients(const LoadOptions& options, Report& report);
  ~Clients();
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  // Returns the time measured: of everything for Short and Hold, of the requests after the first of each for Keep.
  std::chrono::nanoseconds run();

 private:
  using Clock = std::chrono::steady_clock;

  struct Client {
    enum class State { Unused, Connecting, Awaiting, Held };
    State state = State::Unused;
    int fd = -1;
    std::uint32_t source = 0;
    std::uint32_t filled = 0;
    Clock::time_point began;
    std::array<char, 2048> bytes;  // an answer that does not fit is a bad answer
  };
  enum class Announcement { UnderWay, Holding, None };
  enum class Stopping { No, Finish, Abandon };

  void start_what_is_due();
  void start(std::uint32_t index);
  [[nodiscard]] std::optional<Failure> open(Client& client);
  [[nodiscard]] ssize_t send_first(const Client& client) const;
  void send_request(Client& client, std::uint32_t index, int operation);
  void send_next_request(Client& client, std::uint32_t index);
  void on_sent(Client& client);
  [[nodiscard]] const std::string& request_of(const Client& client) const;
  void watch(std::uint32_t index, std::uint32_t events, int operation);
  void on_event(std::uint32_t index, std::uint32_t events);
  void on_readable(Client& client, std::uint32_t index);
  void on_answer(Client& client, std::uint32_t index, const Answer& answer);
  [[nodiscard]] bool kept_its_slot(const Client& client, const Answer& answer);
  void fail(std::uint32_t index, Failure failure);
  void close(std::uint32_t index);
  void look_around(Clock::time_point now);
  void announce(const char* what, std::uint64_t count);
  [[nodiscard]] bool may_request() const;
  [[nodiscard]] bool finished() const;
  void begin_measuring_if_warm();

  const LoadOptions& options_;
  Report& report_;
  std::vector<std::string> requests_;  // one for all sources, or one for each
  int epoll_ = -1;
  int signals_ = -1;
  std::vector<Client> clients_;
  std::vector<std::uint32_t> unused_;
  std::vector<int> slot_of_source_;  // -1: not seen yet
  std::uint32_t under_way_ = 0;      // connecting or awaiting an answer
  std::uint32_t held_ = 0;
  std::uint32_t warm_ = 0;  // Keep: clients that have had their first answer or failed
  Announcement next_announcement_ = Announcement::UnderWay;
  bool measuring_ = true;
  Stopping stopping_ = Stopping::No;
  Clock::time_point began_;
  Clock::time_point next_look_;
  Clock::time_point last_answer_;
};

}  // namespace holdfast
