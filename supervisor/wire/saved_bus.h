#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/time.h"

namespace holdfast {

// The bus in a saved state (wire/saved_state.h). Messages are bytes and may be many: they lie one behind the other in a file of
// their own, `bytes`, and are named here by where they are in it.
struct SavedPiece {
  std::uint64_t offset = 0;
  std::uint64_t length = 0;
};

// Messages that a worker has not taken yet (bus/bus_port.h).
struct SavedRun {
  SavedPiece records;
  std::uint64_t count = 0;
  std::string memory;  // the sealed memory of a large message
  std::uint64_t memory_size = 0;
  bool is_replayed = false;  // of what is kept: it does not count for the limit
};

struct SavedMember {
  std::uint32_t number = 0;
  std::string label;
  std::string channel;  // our end
  bool joined = false;
  std::vector<std::string> patterns;
  std::uint64_t published = 0;
  std::uint64_t delivered = 0;
  std::uint64_t dropped = 0;
  std::uint64_t untold = 0;        // of these, what it has not heard of
  std::vector<SavedPiece> frames;  // that are not about messages, and go first
  std::vector<SavedRun> waiting;
};

struct SavedKept {
  std::string topic;
  std::uint64_t sequence = 0;
  SavedPiece record;
};

// The last message of a topic that is not kept any more; "": of all others.
struct SavedNotKept {
  std::string topic;
  std::uint64_t sequence = 0;
};

struct SavedCall {
  std::uint64_t id = 0;
  std::uint32_t caller = 0;
  std::uint64_t number = 0;  // the caller's own
  std::uint32_t callee = 0;
  TimePoint deadline{};
};

// The link to other machines is made anew; what it counts goes on, so that they, and we, know what was missed meanwhile.
struct SavedLink {
  struct Node {
    std::uint64_t node = 0;
    std::uint64_t sequence = 0;  // the last that was heard
  };
  std::uint64_t sequence = 0;
  std::uint64_t sent = 0;
  std::uint64_t unsent = 0;
  std::uint64_t received = 0;
  std::uint64_t malformed = 0;
  std::uint64_t reconnects = 0;
  std::uint64_t missing = 0;
  std::vector<Node> heard;
  struct Machine {
    std::uint64_t node = 0;
    std::string about;  // wire/fleet_beat.h
  };
  std::vector<Machine> machines;
  std::uint64_t stream_sequence = 0;
  std::string stream_position;
  std::uint64_t stream_missing = 0;
  std::vector<Node> stream_heard;
};

// A message that Redis has not said yet that it keeps.
struct SavedStreamed {
  std::uint64_t number = 0;
  SavedPiece bytes;
};

// By what number the calls know another machine, which asks or is asked.
struct SavedPeer {
  std::uint64_t node = 0;
  std::uint32_t number = 0;
};

struct SavedBus {
  std::uint64_t node = 0;  // 0: there was no bus
  std::uint64_t sequence = 0;
  std::uint32_t last_number = 0;
  std::uint64_t last_call = 0;
  std::uint64_t published = 0;
  std::uint64_t undelivered = 0;
  std::uint64_t gone_delivered = 0;
  std::uint64_t gone_dropped = 0;
  std::uint64_t disconnected = 0;
  std::vector<SavedMember> members;
  std::vector<SavedCall> calls;
  std::vector<SavedKept> kept;  // of a topic in the order of their numbers; topics from the one that is silent longest
  std::vector<SavedNotKept> not_kept;
  SavedLink link;
  std::vector<SavedStreamed> streamed;
  std::vector<SavedPeer> peers;
  std::string bytes;
};

}  // namespace holdfast
