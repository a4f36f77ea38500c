#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "bus/redis_connection.h"
#include "core/backoff.h"
#include "core/fleet_order.h"
#include "core/redis_url.h"
#include "loop/loop.h"
#include "loop/resolver.h"
#include "loop/timer.h"
#include "wire/bus_status.h"
#include "wire/fleet_message.h"
#include "wire/saved_bus.h"

namespace holdfast {

// The bus between machines: what is published here goes to the others through Redis, and what they publish comes from there. Two
// connections, one that speaks and one that listens; if either is lost both are made anew, after a delay that grows and is spread.
//
// While Redis is away the local bus works on. What is published meanwhile is not kept: every message carries the number that its
// machine gave it, so the others know how many they missed, by the next message or the next beat.
//
// Beats go the whole way round, through Redis and back: silence of our own beats is how a Redis that accepts and never answers is found.
// They also say who is there: a machine that is not heard for three of them has gone.
class FleetLink {
 public:
  using OnMessage = std::function<void(std::string_view topic, std::string_view data, std::uint64_t node)>;

  FleetLink(Loop& loop, const RedisUrl& url, std::uint64_t node, std::string machine, OnMessage on_message);
  ~FleetLink();
  FleetLink(const FleetLink&) = delete;
  FleetLink& operator=(const FleetLink&) = delete;

  void publish(std::string_view topic, std::string_view data);
  [[nodiscard]] FleetLinkStatus status() const;

  // What it counts, for the program that goes on where we stop.
  [[nodiscard]] SavedLink save() const;
  void adopt(const SavedLink& saved);

 private:
  struct Machine {
    std::string name;
    TimePoint heard;
  };

  void connect();
  void connect_to(const std::string& address);
  [[nodiscard]] std::unique_ptr<RedisConnection> make(const std::string& address, std::function<void()> on_ready);
  void on_ready();
  void on_lost(const std::string& why);
  void on_bytes(std::string_view bytes);
  void on_due();
  void beat();
  void forget_the_silent();
  [[nodiscard]] bool is_connected() const { return ready_ == 2; }

  Loop& loop_;
  RedisUrl url_;
  std::uint64_t node_;
  std::string machine_;
  OnMessage on_message_;
  FleetOrder order_;
  std::map<std::uint64_t, Machine> machines_;  // the others
  std::uint64_t sequence_ = 0;                 // of what was last published, sent or not
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
  Timer timer_;  // the next beat, the end of patience, the next attempt
};

}  // namespace holdfast
