// The C++ face of the worker SDK: the same calls with owners and types. Header only; link with libholdfast-worker.
// C++20. Nothing throws.
//
//   std::optional<holdfast::Worker> worker = holdfast::Worker::open();
//   if (!worker) return complain(holdfast::Worker::error_text());
//   worker->ready();
//   for (;;) {
//     for (holdfast::Event event = worker->next(); !std::holds_alternative<holdfast::Nothing>(event); event =
//     worker->next()) ... worker->wait();
//   }
//
// worker.h says everything about threads, errors and descriptors; it holds here as well.
#pragma once

#include <holdfast/bus.h>
#include <holdfast/worker.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace holdfast {
// Inline, so that the SDK's names stay apart from the supervisor's when a test links both.
inline namespace sdk {

using MonotonicTime = std::chrono::time_point<std::chrono::steady_clock, std::chrono::nanoseconds>;

// A connected socket that this worker took up: non-blocking, close-on-exec. Closing it here is also what tells the
// supervisor; the Worker must outlive it. Move-only; empty when moved from.
class Connection {
 public:
  Connection() = default;
  Connection(hf_worker* worker, int fd) : worker_(worker), fd_(fd) {}
  Connection(Connection&& other) noexcept
      : worker_(std::exchange(other.worker_, nullptr)), fd_(std::exchange(other.fd_, -1)) {}
  Connection& operator=(Connection&& other) noexcept {
    if (this != &other) {
      close();
      worker_ = std::exchange(other.worker_, nullptr);
      fd_ = std::exchange(other.fd_, -1);
    }
    return *this;
  }
  ~Connection() { close(); }

  // -1 when empty.
  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] explicit operator bool() const { return fd_ >= 0; }
  void close() {
    if (fd_ >= 0) hf_release(worker_, std::exchange(fd_, -1));
  }
  // Gives the descriptor to a library that closes it by itself: tell Worker::closed when it did.
  [[nodiscard]] int detach() { return std::exchange(fd_, -1); }

 private:
  hf_worker* worker_ = nullptr;
  int fd_ = -1;
};

// "127.0.0.1:8080" without an allocation.
class AddressText {
 public:
  explicit AddressText(const hf_address& address) { hf_address_text(&address, text_.data()); }
  [[nodiscard]] std::string_view view() const { return text_.data(); }

 private:
  std::array<char, HF_ADDRESS_TEXT> text_{};
};

struct Nothing {};
struct Arrival {
  Connection connection;
  hf_connection about;  // its `fd` is the connection's
  [[nodiscard]] AddressText remote() const { return AddressText(about.remote); }
  [[nodiscard]] AddressText local() const { return AddressText(about.local); }
  [[nodiscard]] std::string_view plane() const { return hf_plane_text(about.plane); }  // "pass", "steer" or "self"
};
struct Drain {
  MonotonicTime deadline;  // when the supervisor ends the process
};
struct Gone {};
struct Fault {
  std::string_view text;  // valid until the next call
};
// A UDP listener may have something to read; only with UdpListeners::Reported.
struct Datagrams {
  int fd;                  // borrowed, non-blocking: receive until EAGAIN, answer with sendto
  std::uint16_t listener;  // its index
};
// Of the bus (bus.h). Valid until the next call.
struct Message {
  hf_message about;
  [[nodiscard]] std::string_view topic() const { return about.topic; }
  [[nodiscard]] std::string_view text() const { return {static_cast<const char*>(about.data), about.size}; }
};
struct Call : Message {};   // Worker::reply answers it
struct Reply : Message {};  // about.status says whether there is one
struct Lost {
  std::uint64_t messages;  // for this worker, dropped because it was too slow
};
struct Members {};  // hf_members has a new answer
using Event = std::variant<Nothing, Arrival, Drain, Gone, Fault, Datagrams, Message, Call, Reply, Lost, Members>;

enum class Port { Exclusive, Shared };         // Shared: SO_REUSEPORT
enum class UdpListeners { Polled, Reported };  // by the program on Worker::socket, or as Datagrams

struct WorkerOptions {
  std::span<const char* const> standalone = {};  // addresses to listen on when there is no supervisor
  Port port = Port::Exclusive;                   // of the standalone listeners
  std::uint32_t descriptor_reserve = 0;          // 0: the default, 32
  UdpListeners udp = UdpListeners::Polled;
};

class Worker {
 public:
  // Nothing when it failed: then error_text says why.
  [[nodiscard]] static std::optional<Worker> open(const WorkerOptions& options = {}) {
    hf_options wanted{};
    wanted.size = sizeof wanted;
    wanted.standalone = options.standalone.data();
    wanted.standalone_count = options.standalone.size();
    if (options.port == Port::Shared) wanted.flags |= HF_OPEN_REUSEPORT;
    if (options.udp == UdpListeners::Reported) wanted.flags |= HF_OPEN_DATAGRAMS;
    wanted.descriptor_reserve = options.descriptor_reserve;
    hf_worker* opened = nullptr;
    if (hf_open(&wanted, &opened) < 0) return std::nullopt;
    return Worker(opened);
  }
  [[nodiscard]] static std::string_view error_text() { return hf_error_text(); }

  [[nodiscard]] Event next() {
    hf_event event;
    switch (hf_next(worker_.get(), &event)) {
      case HF_EVENT_CONNECTION:
        return Arrival{Connection(worker_.get(), event.connection.fd), event.connection};
      case HF_EVENT_DRAIN: {
        constexpr std::uint64_t kLatest = std::chrono::nanoseconds::max().count();
        return Drain{
            MonotonicTime(std::chrono::nanoseconds(event.deadline_ns < kLatest ? event.deadline_ns : kLatest))};
      }
      case HF_EVENT_GONE:
        return Gone{};
      case HF_EVENT_ERROR:
        return Fault{event.text};
      case HF_EVENT_DATAGRAM:
        return Datagrams{event.connection.fd, event.connection.listener};
      case HF_EVENT_MESSAGE:
        return Message{event.message};
      case HF_EVENT_CALL:
        return Call{{event.message}};
      case HF_EVENT_REPLY:
        return Reply{{event.message}};
      case HF_EVENT_LOST:
        return Lost{event.lost};
      case HF_EVENT_MEMBERS:
        return Members{};
      case HF_EVENT_NONE:
        break;
    }
    return Nothing{};
  }

  // What a proxy told, beside the addresses, of the connection that `next` gave out last; empty: nothing. Valid until `next`.
  [[nodiscard]] std::string_view detail(hf_detail_type detail) const {
    std::size_t length = 0;
    const void* const value = hf_detail(worker_.get(), detail, &length);
    return {static_cast<const char*>(value), length};
  }
  // `id` with this worker's slot: for session ids that bring their clients back (hf_tag). Empty if `id` has a '~'.
  [[nodiscard]] std::string tag(const std::string& id) const {
    std::string tagged(id.size() + 12, '\0');
    const int length = hf_tag(worker_.get(), id.c_str(), tagged.data(), tagged.size());
    tagged.resize(length < 0 ? 0 : static_cast<std::size_t>(length));
    return tagged;
  }
  // Whether the addresses of that connection are those that a proxy told.
  [[nodiscard]] bool is_proxied() const { return hf_is_proxied(worker_.get()) != 0; }

  // Blocks until `next` has something to do; false after the timeout or when a signal came.
  [[nodiscard]] bool wait(std::optional<std::chrono::milliseconds> timeout = std::nullopt) {
    return hf_wait(worker_.get(), timeout ? static_cast<int>(timeout->count()) : -1) > 0;
  }

  [[nodiscard]] int fd() const { return hf_fd(worker_.get()); }  // borrowed
  void ready() { hf_ready(worker_.get()); }
  // When to close the connection with this id because the worker drains; long after all deadlines while it does not.
  [[nodiscard]] MonotonicTime close_at(std::uint64_t id) const {
    constexpr std::uint64_t kLatest = std::chrono::nanoseconds::max().count();
    const std::uint64_t at = hf_close_at(worker_.get(), id);
    return MonotonicTime(std::chrono::nanoseconds(at < kLatest ? at : kLatest));
  }
  void drained() { hf_drained(worker_.get()); }
  void closed(std::uint64_t number) { hf_closed(worker_.get(), number); }
  void heartbeat() { hf_heartbeat(worker_.get()); }
  [[nodiscard]] const hf_identity& info() const { return *hf_info(worker_.get()); }
  // The bus: 0, or a negative errno that error_text explains. `get` is for the calls of bus.h that have no face here.
  [[nodiscard]] int publish(const char* topic, std::string_view data) {
    return hf_publish(worker_.get(), topic, data.data(), data.size());
  }
  [[nodiscard]] int subscribe(const char* pattern, std::uint64_t after = HF_ONLY_NEW) {
    return hf_subscribe(worker_.get(), pattern, after);
  }
  [[nodiscard]] int reply(const Call& call, std::string_view data) {
    return hf_reply(worker_.get(), call.about.call, data.data(), data.size());
  }
  [[nodiscard]] hf_worker* get() { return worker_.get(); }
  // Borrowed; -1 if that is no UDP listener.
  [[nodiscard]] int socket(std::size_t listener) const { return hf_socket(worker_.get(), listener); }
  [[nodiscard]] std::span<const hf_listener> listeners() const { return {info().listener, info().listeners}; }

 private:
  struct Close {
    void operator()(hf_worker* worker) const { hf_close(worker); }
  };
  explicit Worker(hf_worker* worker) : worker_(worker) {}
  std::unique_ptr<hf_worker, Close> worker_;
};

}  // namespace sdk
}  // namespace holdfast
