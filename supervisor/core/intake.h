#pragma once

#include <optional>

namespace holdfast {

// How the workers of a pool receive connections.
enum class Intake {
  Auto,       // what the first worker shows itself to be
  Sdk,        // the channel of the worker SDK
  ListenFds,  // inherited sockets, as systemd's socket activation passes them
  Capture,    // its own bind(2), answered with the slot's socket
  Node,       // the channel of Node.js itself, unmodified (core/node_message.h)
  None,       // not at all: the worker sees to that itself
};

// Who decides the slot of a connection.
enum class Plane {
  Auto,   // pass for workers of the SDK and of Node.js, steer for all others
  Pass,   // the supervisor accepts and passes descriptors
  Steer,  // the kernel delivers to the slot's own socket
  Self,   // nobody: there are no sockets
};

// What one pool's intake has turned out to be.
//
// Under Auto a worker is offered everything at once and shows by what it does first what it is: HELLO on the channel, or
// a bind on an address of ours. One that does neither and yet is ready can only have taken the inherited sockets; that
// is a conclusion, not a sign, so a sign that comes later overrules it. What is settled is never unsettled: all
// workers of a pool run the same program.
class Settlement {
 public:
  // `found`: what another one had found out before.
  Settlement(Intake wished, Plane wished_plane, std::optional<Intake> found = std::nullopt)
      : wished_(wished), wished_plane_(wished_plane), found_(found) {}
  [[nodiscard]] std::optional<Intake> found() const { return found_; }

  // Facts about a worker of the pool. Each answers whether the settlement has changed by it.
  [[nodiscard]] bool on_hello() { return on_sign(Intake::Sdk); }
  [[nodiscard]] bool on_capture() { return on_sign(Intake::Capture); }
  [[nodiscard]] bool on_ready_without_sign();

  // The kernel does not steer here: only workers of the SDK can be served, in the pass plane. Before any fact.
  void forgo_steering();

  // Nothing while it is open.
  [[nodiscard]] std::optional<Intake> intake() const;
  // While the intake is open this is Steer: what waits at the slots' sockets can still go either way.
  [[nodiscard]] Plane plane() const;

  // What the next worker is started with.
  struct Offer {
    bool channel;     // of the SDK
    bool sockets;     // the slot's, for a worker of the SDK
    bool listen_fds;  // the slot's, as LISTEN_FDS
    bool capture;
    bool node = false;  // the channel of Node.js
    bool operator==(const Offer&) const = default;
  };
  [[nodiscard]] Offer offer() const;

 private:
  bool on_sign(Intake intake);

  Intake wished_;
  Plane wished_plane_;
  std::optional<Intake> found_;  // under Auto
};

}  // namespace holdfast
