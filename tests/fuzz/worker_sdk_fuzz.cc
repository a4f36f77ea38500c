// What the supervisor says to a worker, which may be newer than its SDK, or broken: whatever it is, on the channel of connections and
// on that of the bus, the program gets events that it can use, and no descriptor is lost.
//
// An input is a row of frames: a byte that says where it goes (bit 0: the bus) and how many descriptors with it (bits 1 and 2), its
// length (2 bytes, little-endian), and its bytes.
#include <fcntl.h>
#include <holdfast/bus.h>
#include <holdfast/bus_channel.h>
#include <holdfast/channel.h>
#include <holdfast/worker.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace {

constexpr std::size_t kMemory = std::size_t{1}
                                << 20;  // of a large message: the supervisor has checked that it is all there
constexpr int kMaxTurns = 100'000;      // many times what an input can bring

void check(bool holds) {
  if (!holds) std::abort();
}

// Reads every byte: the sanitizer tells which are not there.
void touch(const void* data, std::size_t size) {
  volatile unsigned char sum = 0;
  for (std::size_t i = 0; i < size; i++) sum = sum ^ static_cast<const unsigned char*>(data)[i];
}

int new_memory() {
  const int fd = ::memfd_create("message", MFD_CLOEXEC);
  check(fd >= 0 && ::ftruncate(fd, kMemory) == 0);
  return fd;
}

int lowest_free_descriptor() {
  const int fd = ::dup(STDIN_FILENO);
  check(fd >= 0);
  ::close(fd);
  return fd;
}

// Two ends: the supervisor's and the worker's.
std::array<int, 2> new_channel() {
  std::array<int, 2> ends{};
  check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0);
  return ends;
}

void send_frame(int channel, std::string_view bytes, int descriptor, unsigned count) {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(3 * sizeof(int))> control{};
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(count * sizeof(int));
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    const std::array<int, 3> all = {descriptor, descriptor, descriptor};
    std::memcpy(CMSG_DATA(header), all.data(), count * sizeof(int));
  }
  (void)!::sendmsg(channel, &message, MSG_NOSIGNAL);  // what is more than the channel takes is left out
}

// Answers how long the longest frame of the bus was.
std::size_t send_all(std::string_view input, int channel, int bus) {
  const int memory = new_memory();
  std::size_t longest = 0;
  while (input.size() >= 3) {
    const auto about = static_cast<unsigned char>(input[0]);
    const std::size_t length = static_cast<unsigned char>(input[1]) | static_cast<unsigned char>(input[2]) << 8;
    const std::string_view frame = input.substr(3, length);
    input.remove_prefix(3 + frame.size());
    const bool is_bus = (about & 1) != 0;
    if (is_bus) longest = std::max(longest, frame.size());
    if (!frame.empty()) send_frame(is_bus ? bus : channel, frame, memory, about >> 1 & 3);
  }
  ::close(memory);
  return longest;
}

void check_message(const hf_message& message, std::size_t longest) {
  check(std::strlen(message.topic) <= HF_MAX_TOPIC && std::strlen(message.key) <= HF_MAX_TOPIC);
  check(message.size <= HF_MAX_MESSAGE);
  const auto* const data = static_cast<const char*>(message.data);
  const std::size_t before = sizeof(hf_frame_header) + sizeof(hf_bus_record);
  const bool is_in_frame = data >= message.key && data - message.key <= static_cast<std::ptrdiff_t>(HF_BUS_MAX_FRAME);
  if (is_in_frame) check(before + static_cast<std::size_t>(data - message.topic) + message.size <= longest);
  touch(data, std::min(message.size, is_in_frame ? message.size : kMemory));
}

void check_connection(hf_worker* worker, const hf_connection& connection) {
  check(::fcntl(connection.fd, F_GETFD) >= 0);
  touch(connection.listener_name, std::strlen(connection.listener_name));
  (void)hf_is_proxied(worker);
  for (unsigned type = 0; type < 256; type++) {
    std::size_t length = 0;
    const void* const detail = hf_detail(worker, static_cast<hf_detail_type>(type), &length);
    check(detail != nullptr || length == 0);
    if (detail != nullptr) touch(detail, length);
  }
  hf_release(worker, connection.fd);
}

bool take_event(hf_worker* worker, const hf_event& event, std::size_t longest) {
  switch (event.type) {
    case HF_EVENT_CONNECTION:
      check_connection(worker, event.connection);
      return true;
    case HF_EVENT_CALL:
      (void)hf_reply(worker, event.message.call, "answer", 6);
      [[fallthrough]];
    case HF_EVENT_MESSAGE:
    case HF_EVENT_REPLY:
      check_message(event.message, longest);
      return true;
    case HF_EVENT_ERROR:
      check(*event.text != '\0');
      return true;
    case HF_EVENT_MEMBERS: {
      std::array<hf_member, 8> members{};
      for (const char* pool : {"main", ""}) check(hf_members(worker, pool, members.data(), members.size()) >= 0);
      return true;
    }
    case HF_EVENT_DRAIN:
    case HF_EVENT_LOST:
      return true;
    default:
      return false;
  }
}

void take_events(hf_worker* worker, std::size_t longest) {
  for (int turn = 0; turn < kMaxTurns; turn++) {
    hf_event event{};
    while (hf_next(worker, &event) != HF_EVENT_NONE) {
      if (!take_event(worker, event, longest)) return;
    }
    if (hf_wait(worker, 0) != 1) return;
  }
  check(false);  // it would spin
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const int first_free = lowest_free_descriptor();  // each time: libFuzzer opens some of its own between inputs
  const auto [channel, channel_of_worker] = new_channel();
  const auto [bus, bus_of_worker] = new_channel();
  ::setenv(HF_ENV_CHANNEL, std::to_string(channel_of_worker).c_str(), 1);
  ::setenv(HF_ENV_BUS, std::to_string(bus_of_worker).c_str(), 1);
  ::setenv(HF_ENV_LISTENERS, "web=127.0.0.1:80", 1);
  hf_worker* worker = nullptr;
  check(hf_open(nullptr, &worker) == 0);
  check(hf_subscribe(worker, "**", 0) == 0);
  const std::size_t longest = send_all({reinterpret_cast<const char*>(data), size}, channel, bus);
  take_events(worker, longest);
  hf_close(worker);
  ::close(channel);
  ::close(bus);
  check(lowest_free_descriptor() == first_free);
  return 0;
}
