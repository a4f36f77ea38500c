#pragma once

#include <holdfast/channel.h>

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace holdfast::test {

enum class Page { Given, Withheld };
// What serves a listener: a socket of the slot, or the channel.
enum class Served { ByChannel, ByTcp, ByUdp };

// The supervisor's end of a channel as plain code: sends what a test says, also what no supervisor would, and reads
// what the worker sends. Like the real one it keeps both ends, so what is queued survives a worker. Stands for one
// inbox; worker after worker may be opened on it.
class FakeSupervisor {
 public:
  explicit FakeSupervisor(Page page = Page::Given);
  FakeSupervisor(const FakeSupervisor&) = delete;
  FakeSupervisor& operator=(const FakeSupervisor&) = delete;
  ~FakeSupervisor();

  // Workers get sockets on the loopback: a listener for each item.
  void give_sockets(const std::vector<Served>& listeners);
  // The fake's own copy, as the real one keeps it; -1 where the channel serves. Borrowed.
  [[nodiscard]] int socket(std::size_t listener) const { return sockets_[listener]; }
  [[nodiscard]] std::uint16_t port(std::size_t listener) const;
  // A blocking client of the listener, connected; it is the caller's. On a busy machine the connection may enter the
  // queue a moment later.
  [[nodiscard]] int connect(std::size_t listener) const;
  // Connections that wait to be accepted.
  [[nodiscard]] unsigned queued(std::size_t listener) const;

  // Sets the environment of a worker in this very process, with descriptors that the worker will own.
  void offer();
  // Closes those descriptors: for a worker that is a child process, which has inherited them.
  void close_offered();
  // The descriptors that a child process shall get; borrowed.
  [[nodiscard]] int worker_end() const { return worker_end_; }
  [[nodiscard]] int page_descriptor() const { return page_descriptor_; }
  [[nodiscard]] hf_page& page() const { return *page_; }

  // Makes `count` connections (socket pairs), sends one end of each in one frame and keeps the other. Returns false
  // when the channel is full.
  bool send_connections(unsigned count);
  // As above, over TCP on the loopback, so that addresses are real. Returns the client's descriptor, the fake's to
  // close.
  int send_tcp_connection();
  void send_drain(std::uint64_t deadline_ns, std::uint64_t spread_ns = 0);
  // Any bytes with any descriptors; the descriptors stay the caller's.
  bool send_raw(std::span<const std::byte> bytes, std::span<const int> descriptors = {});
  // A CONNECTIONS frame with `count` records, as bytes.
  [[nodiscard]] std::vector<std::byte> connections_frame(unsigned count);

  // The next frame of the worker, waiting long; nothing if none came.
  [[nodiscard]] std::optional<std::vector<std::byte>> receive();
  [[nodiscard]] std::optional<std::uint16_t> receive_type();
  // The next frame's number; fails the test when the frame is of another type.
  [[nodiscard]] std::uint64_t receive_number(std::uint16_t type);
  // Whether a frame waits.
  [[nodiscard]] bool has_frame() const;
  // Fills the worker's way to the supervisor until nothing more goes in. Returns the number of frames.
  unsigned fill_from_worker();

  // What a crash of the supervisor does: both ends close.
  void die();

  // The clients' ends, in the order of sending; owned by the fake.
  [[nodiscard]] const std::vector<int>& clients() const { return clients_; }

 private:
  int supervisor_end_ = -1;
  int worker_end_ = -1;
  int page_descriptor_ = -1;
  hf_page* page_ = nullptr;
  std::vector<int> sockets_;
  std::vector<int> offered_;
  std::uint64_t next_id_ = 1;
  std::vector<int> clients_;
};

}  // namespace holdfast::test
