#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "arrival.h"
#include "config/config.h"
#include "core/cidr.h"
#include "core/result.h"
#include "core/routes.h"
#include "dispatcher.h"
#include "farewell.h"
#include "gatekeeper.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "loop/timer.h"
#include "sys/fd_table.h"
#include "sys/first_bytes.h"
#include "wire/preface.h"
#include "wire/saved_state.h"

namespace holdfast {

// What the connections of a listener go through between accepting and placing: who the client is (PROXY header), which pool he is for
// (routes), and by what he is placed there (the pool's keys).
//
// The first bytes that this needs are peeked, and nothing but a PROXY header is ever taken. A connection whose bytes are not all
// there waits in a table: bounded in number (beyond, the oldest is refused) and in time. They are waiting in the account of the
// listener's own pool. A client that sends byte by byte costs a place in the table, and a look for each byte.
//
// Where as many are open as may be (total-connections), those that come next wait here for others to be closed, in the order of their
// arrival; as many and as long as they may wait in the listener's own pool (wait-limit, wait-timeout).
//
// The accounts that the listener has in other pools (guests) end with the door.
class FrontDoor {
 public:
  // A pool, as one listener sees it. Borrowed.
  struct Target {
    Dispatcher* dispatcher;
    const PoolConfig* pool;
    ListenerId listener;        // there
    std::weak_ptr<bool> alive;  // with the pool, which a reload may remove
  };
  // Whether the listener's connections need one; `pools`: all that they may come to.
  [[nodiscard]] static bool is_needed(const ListenerConfig& config, const std::vector<const PoolConfig*>& pools);

  // A socket by which its connections come, and where they go: the listener's own pool, then that of each route (empty for a
  // refusal). A service manager may give a listener several; what is configured holds for all of them together.
  using Way = std::vector<Target>;
  [[nodiscard]] static Result<std::unique_ptr<FrontDoor>> create(Loop& loop, const ListenerConfig& config, HashKey key,
                                                                 std::vector<Way> ways);
  ~FrontDoor();
  FrontDoor(const FrontDoor&) = delete;
  FrontDoor& operator=(const FrontDoor&) = delete;

  // Takes a connection that was accepted at `listener`, which is one of `listeners`.
  void enter(ListenerId listener, AcceptedConnection connection);
  // From now on with other limits and times. What else the configuration says of the listener is as it was. Errors, and then nothing
  // has changed: a list of addresses that cannot be read.
  [[nodiscard]] Outcome change(const ListenerConfig& config);

  // For a program that takes over: what waits, which is for `enter_again` there. Of what is open, where that is counted, so many connections.
  void save(SavedPool& saved, FdList& fds, std::size_t most_open) const;
  // What was remembered of sources, and counted, there.
  void recall(const SavedDoor& saved);
  // Takes one that an earlier program has let in.
  void enter_again(ListenerId listener, AcceptedConnection connection);
  // What waits for others to be closed goes to its pool all the same: a program that takes over counts anew.
  void let_all_in();
  // Nobody is let in any more: what waits is refused.
  void close();
  // Its listener is gone, or has another door. Nobody enters; what waits is served as before.
  void retire() { is_retired_ = true; }
  [[nodiscard]] bool is_retired() const { return is_retired_; }
  // Whether it may go: it is retired, and nobody waits.
  [[nodiscard]] bool is_done() const { return is_retired_ && waiting() == 0 && farewell_.is_over(); }
  // Whether the workers of all pools that its connections may come to know the listener.
  [[nodiscard]] bool is_known_everywhere() const;

  // In its own pool.
  [[nodiscard]] std::vector<ListenerId> listeners() const;
  [[nodiscard]] bool is_for(ListenerId listener) const;

  // Where a connection goes of which so much is known.
  struct Decision {
    std::optional<std::size_t> route;  // that holds
    const Target* target = nullptr;    // null: nowhere
    std::optional<Refusal> refusal;
    std::optional<FoundKey> key;
  };
  // Of one that is only described: limits are asked, and nothing is recorded.
  [[nodiscard]] Decision foresee(const PrefaceFacts& facts) const;
  [[nodiscard]] std::string route_text(std::size_t route) const;  // "1: { when = ..., pool = ... }"
  [[nodiscard]] ClientsAnswer::Listener clients(std::size_t count) const;
  [[nodiscard]] std::vector<std::string> limits() const { return keeper_->limits(); }  // in words
  [[nodiscard]] bool always_proxied() const;  // every connection begins with a PROXY header
  [[nodiscard]] bool looks_for_http() const { return needs_.http; }

  [[nodiscard]] std::uint64_t waiting() const { return waiting_.size() + queue_.size(); }
  // Connections that were placed without what their first bytes should have told, by reason.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& missing() const { return missing_; }
  // Connections that lists and limits would have refused, by reason, were they enforced.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& would_refuse() const { return keeper_->would_refuse(); }

 private:
  struct Waiting {
    const Way* way;
    UniqueFd fd;
    Endpoint sender;  // the other end of the connection itself
    PrefaceReader reader;
    TimePoint until;
    bool is_low_water_set = false;
  };
  // It waits for others to be closed.
  struct Queued {
    const Way* way;
    const Target* target;
    Connection connection;
    TimePoint since;
  };

  FrontDoor(Loop& loop, const ListenerConfig& config, HashKey key, std::vector<Way> ways, ArrivalWatch watch,
            std::unique_ptr<Gatekeeper> keeper);
  [[nodiscard]] const Way& way_of(ListenerId listener) const;
  [[nodiscard]] bool lets_in(const Way& way, UniqueFd& fd, const Endpoint& client);
  [[nodiscard]] PrefaceNeeds needs_of(const Endpoint& sender) const;
  void look_or_wait(const Way& way, AcceptedConnection connection, PrefaceNeeds needs);
  void wait(Waiting connection, std::size_t least);
  void on_arrivals();
  void on_due();
  // What a look has come to: the number of bytes that are waited for, or nothing if the connection has gone its way.
  [[nodiscard]] std::optional<std::size_t> look(Waiting& connection, PrefaceReader::Stream stream);
  void admit(Waiting& connection, Preface preface);
  [[nodiscard]] Decision decide(const Way& way, const PrefaceFacts& facts) const;
  void route(const Way& way, UniqueFd fd, const Endpoint& sender, const Preface& preface);
  void hand_over(const Way& way, const Target& target, Arrival arrival);
  void queue(Queued queued);
  void pass_on(Queued queued);
  void look_for_room();
  void hang_refusers();
  void hang_dry_run();
  void refuse(const Way& way, UniqueFd fd, Refusal refusal);
  void refuse_by_choice(const Way& way, UniqueFd fd, Refusal refusal, Duration wait = {});
  void report(const Endpoint& sender, std::string_view why);
  [[nodiscard]] static Listener& account_of(const Target& target);
  [[nodiscard]] const PoolConfig& own_pool() const { return *ways_.front().front().pool; }
  void flush_guests();

  Loop& loop_;
  const HashKey key_;
  ListenerConfig config_;
  const std::vector<Way> ways_;  // at least one
  const Routes routes_;
  const CidrSet senders_;
  PrefaceNeeds needs_;
  ArrivalWatch watch_;
  std::unique_ptr<Gatekeeper> keeper_;
  Farewell farewell_;
  bool is_retired_ = false;
  std::map<std::uint64_t, Waiting> waiting_;  // by number, so the oldest first
  std::uint64_t last_ = 0;
  std::deque<Queued> queue_;
  std::map<std::string, std::uint64_t> missing_;
  std::vector<char> buffer_;
  bool flush_due_ = false;
  TimePoint next_report_{};
  std::uint64_t unreported_ = 0;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  FdWatcher watcher_;
  Timer timeout_;
  Timer room_;  // while the queue is not empty
};

}  // namespace holdfast
