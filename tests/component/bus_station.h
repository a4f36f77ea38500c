#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bus/bus.h"
#include "component/run_until.h"
#include "sys/fd_passing.h"
#include "wire/bus_frames.h"

namespace holdfast {

// A bus whose workers are the test: each writes frames into its end of its channel, and reads only when it is told to. All of them
// are the slots of a pool "main".
class BusStation {
 public:
  struct Message {
    std::uint16_t kind = 0;
    std::string name;
    std::string data;
    std::uint64_t sequence = 0;
    std::uint64_t call = 0;
    std::int32_t status = 0;
    bool is_large = false;
  };
  // What a worker has read of its channel.
  struct Heard {
    std::vector<Message> messages;
    std::uint64_t lost = 0;
    unsigned incomplete = 0;  // DROPPED without a number
    unsigned welcomes = 0;
    unsigned lists = 0;         // of pools
    std::vector<bool> serving;  // of "main", by the last of these
    bool ended = false;

    [[nodiscard]] std::vector<std::string> of(std::string_view topic) const {
      std::vector<std::string> found;
      for (const Message& message : messages) {
        if (message.name == topic) found.push_back(message.data);
      }
      return found;
    }
    [[nodiscard]] std::vector<Message> replies() const {
      std::vector<Message> found;
      for (const Message& message : messages) {
        if (message.kind == HF_BUS_REPLY) found.push_back(message);
      }
      return found;
    }
  };
  using Bytes = std::vector<std::byte>;
  // Where a key leads to: the worker of that number.
  static std::string key_of(std::size_t worker) { return std::to_string(worker); }

  explicit BusStation(const BusConfig& config = {}) {
    Bus::Hooks hooks;
    hooks.place = [this](std::string_view pool, std::string_view key) {
      if (pool != "main") return BusPlace{};
      return BusPlace{true, member(std::stoul(std::string(key)))};
    };
    hooks.member = [this](std::string_view, SlotId slot) { return member(slot.value); };
    hooks.pools = [this] { return pools(); };
    hooks.last_client = [this] { return clients_come_ ? loop_.now() : TimePoint{}; };
    bus_ = std::make_unique<Bus>(loop_, config, 1, std::move(hooks));
  }

  [[nodiscard]] Loop& loop() { return loop_; }
  [[nodiscard]] Bus& bus() { return *bus_; }
  [[nodiscard]] const Heard& heard(std::size_t worker) const { return workers_[worker].heard; }
  [[nodiscard]] BusMember& place(std::size_t worker) { return *workers_[worker].member; }

  // A worker that has joined and is subscribed.
  std::size_t add(const std::vector<std::string>& patterns = {}) {
    const std::size_t worker = add_silent();
    const hf_bus_join join{{HF_BUS_JOIN, 0, sizeof join}, HF_PROTOCOL_VERSION, 0};
    say(worker, bytes_of(join));
    for (const std::string& pattern : patterns) subscribe(worker, pattern);
    EXPECT_TRUE(run_until(loop_, [&] { return take(worker).welcomes == 1 && take(worker).lists > 0; }));
    return worker;
  }
  // One that does not use the bus.
  std::size_t add_silent() {
    Result<std::unique_ptr<BusMember>> member = bus_->join("main/" + std::to_string(workers_.size()));
    EXPECT_TRUE(member);
    workers_.push_back({*std::move(member), {}});
    bus_->on_pools_changed();
    return workers_.size() - 1;
  }
  void remove(std::size_t worker) {
    workers_[worker].member.reset();
    bus_->on_pools_changed();
  }
  void subscribe(std::size_t worker, std::string_view pattern, std::uint64_t after = HF_BUS_ONLY_NEW) {
    hf_bus_subscription head{{HF_BUS_SUBSCRIBE, 0, 0}, after};
    head.header.length = static_cast<std::uint32_t>(sizeof head + pattern.size());
    Bytes frame = bytes_of(head);
    const auto text = std::as_bytes(std::span(pattern));
    frame.insert(frame.end(), text.begin(), text.end());
    const std::size_t before = bus_->status().subscriptions;
    say(worker, frame);
    EXPECT_TRUE(run_until(loop_, [&] { return bus_->status().subscriptions > before; }));
  }
  void say(std::size_t worker, const Bytes& frame, std::span<const int> fds = {}) {
    const BorrowedFd end = workers_[worker].member->worker_end();
    EXPECT_TRUE(run_until(loop_, [&] {
      const Result<SendOutcome> sent = send_with_fds(end, frame, fds);
      return sent && *sent != SendOutcome::WouldBlock && *sent != SendOutcome::TooManyInFlight;
    }));
  }
  // Records that a worker sends in one frame.
  void publish(std::size_t worker, const std::vector<std::pair<std::string, std::string>>& messages) {
    std::vector<Bytes> records;
    for (const auto& [topic, data] : messages) {
      records.push_back(encode_bus_record({HF_BUS_PUBLISH, topic, "", data}, {}));
    }
    say(worker, frame_of(records));
  }
  static Bytes frame_of(const std::vector<Bytes>& records) {
    std::size_t size = 0;
    for (const Bytes& record : records) size += record.size();
    Bytes frame = bytes_of(bus_messages_header(records.size(), size));
    for (const Bytes& record : records) frame.insert(frame.end(), record.begin(), record.end());
    return frame;
  }
  // Reads what is there for a worker now.
  Heard& take(std::size_t worker) {
    Heard& heard = workers_[worker].heard;
    while (workers_[worker].member && take_frame(workers_[worker].member->worker_end(), heard)) {
    }
    return heard;
  }
  // Reads one frame of it, if there is one.
  bool take_one(std::size_t worker) {
    return take_frame(workers_[worker].member->worker_end(), workers_[worker].heard);
  }
  // Runs until what a worker has read is so.
  template <class Predicate>
  [[nodiscard]] bool hears(std::size_t worker, const Predicate& is_so) {
    return run_until(loop_, [&] { return is_so(take(worker)); });
  }
  void let_clients_come() { clients_come_ = true; }  // all the time
  // Until everything that was said has been read by the bus: it takes the frames of one worker in their order, so this is its last.
  void settle(std::size_t worker) {
    const std::uint64_t before = bus_->status().undelivered;
    say(worker, frame_of({encode_bus_record({HF_BUS_SEND, "nowhere", "0", ""}, {.call = 0})}));
    EXPECT_TRUE(run_until(loop_, [&] { return bus_->status().undelivered > before; }));
  }
  void set_serving(std::size_t worker, bool serves) {
    workers_[worker].serves = serves;
    bus_->on_pools_changed();
  }

 private:
  struct Worker {
    std::unique_ptr<BusMember> member;
    Heard heard;
    bool serves = true;
  };
  template <class T>
  static Bytes bytes_of(const T& value) {
    const auto raw = std::as_bytes(std::span(&value, 1));
    return {raw.begin(), raw.end()};
  }
  [[nodiscard]] std::optional<BusMember::Number> member(std::size_t worker) const {
    if (worker >= workers_.size() || !workers_[worker].member) return std::nullopt;
    return workers_[worker].member->number();
  }
  [[nodiscard]] std::vector<BusPool> pools() const {
    BusPool main{"main", 0, {}, false};
    for (const Worker& worker : workers_) main.serving.push_back(worker.member && worker.serves);
    return {main};
  }
  static bool take_frame(BorrowedFd end, Heard& heard) {
    static std::array<std::byte, HF_BUS_MAX_FRAME> buffer;
    const Result<Received> received = receive_with_fds(end, buffer);
    if (!received || received->state == Received::State::Closed) heard.ended = true;
    if (!received || received->state != Received::State::Message) return false;
    const std::span<const std::byte> frame = std::span(buffer).first(received->length);
    hf_frame_header header{};
    std::memcpy(&header, frame.data(), sizeof header);
    EXPECT_EQ(header.length, frame.size());
    if (header.type == HF_BUS_WELCOME) heard.welcomes++;
    if (header.type == HF_BUS_MEMBERS) take_list(frame, heard);
    if (header.type == HF_BUS_DROPPED) {
      hf_frame_number dropped{};
      std::memcpy(&dropped, frame.data(), sizeof dropped);
      heard.lost += dropped.number;
      heard.incomplete += dropped.number == 0 ? 1 : 0;
    }
    if (header.type != HF_BUS_MESSAGES) return true;
    EXPECT_GT(header.count, 0);
    const Result<std::vector<BusRecord>> records = decode_bus_records(frame);
    EXPECT_TRUE(records);
    for (const BusRecord& record : *records) {
      hf_bus_record raw{};
      std::memcpy(&raw, frame.data() + record.offset, sizeof raw);
      heard.messages.push_back({record.kind, std::string(record.name),
                                std::string(reinterpret_cast<const char*>(record.data.data()), record.data.size()),
                                raw.sequence, record.call, record.status, record.is_large});
    }
    return true;
  }
  static void take_list(std::span<const std::byte> frame, Heard& heard) {
    heard.lists++;
    hf_bus_pool pool{};
    std::memcpy(&pool, frame.data() + sizeof(hf_frame_header), sizeof pool);
    const std::size_t names = (pool.name_length + 1U + 7U) / 8 * 8;
    heard.serving.assign(pool.slots, false);
    for (std::size_t slot = 0; slot < pool.slots; slot++) {
      const std::byte bits = frame[sizeof(hf_frame_header) + sizeof pool + names + slot / 8];
      heard.serving[slot] = (bits >> (slot % 8) & std::byte{1}) != std::byte{0};
    }
  }

  Loop loop_;
  bool clients_come_ = false;
  std::unique_ptr<Bus> bus_;
  std::deque<Worker> workers_;  // go before the bus
};

}  // namespace holdfast
