#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace holdfast {

// A worker that uses the bus.
struct BusMemberStatus {
  std::string worker;  // "main/2"
  std::uint64_t subscriptions = 0;
  std::uint64_t published = 0;
  std::uint64_t delivered = 0;
  std::uint64_t dropped = 0;  // because it was too slow
  std::uint64_t waiting = 0;  // messages
  bool is_off = false;        // it was taken off the bus, and is nobody there until it is restarted
};

// The bus between machines, through Redis.
struct FleetLinkStatus {
  std::string redis;           // empty: there is none
  std::string trouble;         // why it is not connected; empty: it is
  std::string stream_trouble;  // why it does not keep what goes through the stream; empty: it does
  std::uint64_t sent = 0;
  std::uint64_t unsent = 0;   // published here while it was away, or too large for the stream: the others miss them
  std::uint64_t waiting = 0;  // for the stream, until Redis has said that it keeps them
  std::uint64_t received = 0;
  std::uint64_t missing = 0;  // that others published and that did not come here
  std::uint64_t malformed = 0;
  std::uint64_t reconnects = 0;
  std::vector<std::string> machines;  // the others that are heard
};

// What `status` tells of the bus. Messages are counted one by one; `delivered` counts each receiver.
struct BusStatus {
  std::uint64_t node = 0;
  std::uint64_t published = 0;
  std::uint64_t delivered = 0;
  std::uint64_t dropped = 0;
  std::uint64_t undelivered = 0;   // sent to a key, or a call, and no worker was there
  std::uint64_t disconnected = 0;  // workers that were taken off the bus
  std::uint64_t subscriptions = 0;
  std::uint64_t calls = 0;     // that wait for their answer
  std::uint64_t retained = 0;  // messages that are kept
  std::vector<BusMemberStatus> members;
  FleetLinkStatus fleet;
};

}  // namespace holdfast
