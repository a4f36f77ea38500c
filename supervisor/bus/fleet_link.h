#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bus/fleet_parts.h"
#include "bus/fleet_stream.h"
#include "bus/redis_connection.h"
#include "core/echo_window.h"
#include "core/fleet_machines.h"
#include "core/fleet_order.h"
#include "core/redis_url.h"
#include "core/result.h"
#include "loop/loop.h"
#include "loop/resolver.h"
#include "loop/timer.h"
#include "sys/sealed_memory.h"
#include "wire/bus_status.h"
#include "wire/fleet_message.h"
#include "wire/saved_bus.h"

namespace holdfast {

// The bus between machines: what is published here goes to the others through Redis, and what they publish comes from there. One
// connection speaks and one listens; a third reads the stream, where there is one. If any is lost all are made anew, after a delay
// that grows and is spread.
//
// While Redis is away the local bus works on. What is published meanwhile is not kept, but for the topics of the stream: every message
// carries the number that its machine gave it, so the others know how many they missed, by the next message or the next beat.
//
// A large message goes in parts, in its place among the others; beats go between them. Its memory is read as they go, and is filled by
// the others as they come (bus/fleet_parts.h), so a turn has to do with little of it. The stream takes none: it would have to keep
// its length times the largest.
//
// Beats go the whole way round, through Redis and back: silence of our own beats is how a Redis that accepts and never answers is found.
// They also say who is there, and with which pools: a machine that is not heard for three of them has gone.
class FleetLink {
 public:
  struct Settings {
    RedisUrl url;
    std::string fleet;  // its name: others on the same Redis are not heard
    std::uint64_t node = 0;
    std::string machine;              // for people
    std::string place;                // the same after a restart, and nobody else's
    std::vector<std::string> stream;  // patterns of topics that go through it; none: there is no stream
    unsigned stream_length = 0;
  };
  struct Hooks {
    // A large one comes with its memory, and without data.
    std::function<void(const FleetMessage& message, const SharedMemory& memory)> on_message;
    // What the stream had before we were there (bus/fleet_stream.h).
    std::function<void(std::string_view topic, std::string_view data, std::uint64_t node)> on_history;
    std::function<void()> on_history_end;
    // For a worker of ours. A large one may lack its memory.
    std::function<void(const FleetMessage& message, const SharedMemory& memory)> on_addressed;
    std::function<void(std::uint64_t node)> on_gone;
    std::function<void()> on_machines;  // the others, or their pools, are not what they were
  };

  FleetLink(Loop& loop, Settings settings, Hooks hooks);
  ~FleetLink();
  FleetLink(const FleetLink&) = delete;
  FleetLink& operator=(const FleetLink&) = delete;

  void publish(std::string_view topic, std::string_view data);
  // Of the stream: the others miss it, and know by its number that they do.
  void publish_large(std::string_view topic, SharedMemory memory);
  // To one machine; its `node` is filled in, and for a large one its size. False: Redis is away, or takes less than we say.
  [[nodiscard]] bool tell(std::uint64_t to, FleetMessage message, SharedMemory memory = {});
  // Something of others than us, as it is; answers how many heard it.
  using OnEmitted = std::function<void(const Result<std::uint64_t>&)>;
  void emit(std::string_view channel, std::string_view payload, OnEmitted on_emitted);
  // What we share with the others.
  void set_pools(std::vector<FleetPool> pools);
  [[nodiscard]] const FleetMachines& machines() const { return machines_; }
  [[nodiscard]] const std::string& place() const { return settings_.place; }
  [[nodiscard]] FleetLinkStatus status() const;

  // Before the end: `done` is called once Redis has taken everything, or cannot take it in time; then the log says what is lost. Not
  // from inside this, unless there is nothing to wait for.
  void settle(std::function<void()> done);

  // What it counts, and who is there, for the program that goes on where we stop. What waits to be kept by the stream is carried as
  // bytes, beside it.
  [[nodiscard]] SavedLink save() const;
  [[nodiscard]] const StreamBacklog& backlog() const { return stream_.backlog(); }
  void adopt(const SavedLink& saved, FleetStream::Past past);
  void adopt_waiting(std::uint64_t number, std::string bytes);

 private:
  // Published and not with Redis yet; little of it is on its way at any time, so that a beat behind it comes in time.
  struct Outgoing {
    std::string channel;
    std::string bytes;       // of a large one without its data
    std::uint64_t sequence;  // 0: for one machine
    SharedMemory memory = {};
    std::uint32_t said = 0;  // bytes of that
    [[nodiscard]] std::size_t size() const { return bytes.size() + memory.size; }
  };
  void connect();
  void connect_to(const std::string& address);
  [[nodiscard]] std::unique_ptr<RedisConnection> make(const std::string& address, std::function<void()> on_ready);
  void on_ready();
  void on_lost(const std::string& why);
  void on_bytes(std::string_view bytes);
  void on_heard(const FleetMessage& message, const SharedMemory& memory);
  void on_beat(const FleetMessage& beat);
  void on_streamed(std::string_view bytes);
  void on_history(std::string_view bytes);
  [[nodiscard]] std::optional<FleetMessage> streamed_in(std::string_view bytes);
  [[nodiscard]] bool has_room() const;
  void push(Outgoing outgoing);
  void send();
  [[nodiscard]] static std::optional<std::string> next_piece_of(Outgoing& message);
  void pass(const std::string& channel, const std::string& bytes);
  void drop_outgoing();
  [[nodiscard]] std::uint64_t unsent_by_now() const;
  void finish_settling();
  void on_due();
  void beat();
  void forget_the_silent();
  [[nodiscard]] bool is_streamed(std::string_view topic) const;
  [[nodiscard]] unsigned connections() const { return settings_.stream.empty() ? 2 : 3; }
  [[nodiscard]] bool is_connected() const { return ready_ == connections(); }

  Loop& loop_;
  Settings settings_;
  Hooks hooks_;
  FleetMachines machines_;
  FleetOrder order_;
  FleetOrder stream_order_;
  FleetOrder history_order_;
  FleetParts parts_;
  std::string channel_;  // of all machines
  FleetStream stream_;
  std::vector<FleetPool> pools_;  // ours
  std::deque<Outgoing> outgoing_;
  std::size_t outgoing_bytes_ = 0;
  std::size_t on_way_ = 0;             // bytes that Redis has not acknowledged
  EchoWindow echo_;                    // of what we say to all
  std::uint64_t sequence_ = 0;         // of what was last published, sent or not
  std::uint64_t stream_sequence_ = 0;  // the same for the stream
  std::uint64_t sent_ = 0;
  std::uint64_t unsent_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t malformed_ = 0;
  std::uint64_t reconnects_ = 0;
  unsigned failures_ = 0;  // in a row
  unsigned ready_ = 0;     // connections that are
  std::string trouble_ = "not connected yet";
  TimePoint heard_{};  // of our own beats
  std::unique_ptr<Resolver> resolver_;
  std::unique_ptr<RedisConnection> speaks_;
  std::unique_ptr<RedisConnection> listens_;
  std::unique_ptr<RedisConnection> reads_;
  std::function<void()> settled_;
  Timer settle_timer_;
  Timer timer_;  // the next beat, the end of patience, the next attempt
};

}  // namespace holdfast
