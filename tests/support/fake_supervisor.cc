#include "support/fake_supervisor.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <utility>

namespace holdfast::test {
namespace {

constexpr int kPatience = 40'000;  // milliseconds until a frame that does not come counts as missing; machines are busy

// For what can only fail when the machine is broken.
int check(int result, const char* doing) {
  if (result < 0) {
    std::perror(doing);
    std::abort();
  }
  return result;
}

void set_number(const char* name, long number) { ::setenv(name, std::to_string(number).c_str(), 1); }

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

template <class Frame>
std::span<const std::byte> bytes_of(const Frame& frame) {
  return std::as_bytes(std::span(&frame, 1));
}

}  // namespace

FakeSupervisor::FakeSupervisor(Page page) {
  int ends[2];
  check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), "socketpair");
  supervisor_end_ = ends[0];
  worker_end_ = ends[1];
  if (page == Page::Withheld) return;
  page_descriptor_ = check(::memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING), "memfd_create");
  check(::ftruncate(page_descriptor_, HF_PAGE_SIZE), "ftruncate");
  check(::fcntl(page_descriptor_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), "seal");
  void* mapped = ::mmap(nullptr, HF_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, page_descriptor_, 0);
  page_ = new (mapped) hf_page{};
  page_->magic = HF_PAGE_MAGIC;
  page_->version = HF_PROTOCOL_VERSION;
}

FakeSupervisor::~FakeSupervisor() {
  die();
  for (const int client : clients_) ::close(client);
  for (const int socket : sockets_)
    if (socket >= 0) ::close(socket);
  if (page_ != nullptr) ::munmap(page_, HF_PAGE_SIZE);
  if (page_descriptor_ >= 0) ::close(page_descriptor_);
  for (const char* name : {HF_ENV_CHANNEL, HF_ENV_PAGE, HF_ENV_SLOT, HF_ENV_SLOTS, HF_ENV_GENERATION, HF_ENV_POOL,
                           HF_ENV_HEARTBEAT, HF_ENV_LISTENERS, HF_ENV_SOCKETS})
    ::unsetenv(name);
}

void FakeSupervisor::give_sockets(const std::vector<Served>& listeners) {
  for (const Served served : listeners) {
    if (served == Served::ByChannel) {
      sockets_.push_back(-1);
      continue;
    }
    const int type = served == Served::ByTcp ? SOCK_STREAM : SOCK_DGRAM;
    sockets_.push_back(check(::socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket"));
    const sockaddr_in any_port = loopback(0);
    check(::bind(sockets_.back(), reinterpret_cast<const sockaddr*>(&any_port), sizeof any_port), "bind");
    if (served == Served::ByTcp) check(::listen(sockets_.back(), 4096), "listen");
  }
}

std::uint16_t FakeSupervisor::port(std::size_t listener) const {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  check(::getsockname(sockets_[listener], reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  return ntohs(address.sin_port);
}

int FakeSupervisor::connect(std::size_t listener) const {
  int type = 0;
  socklen_t size = sizeof type;
  check(::getsockopt(sockets_[listener], SOL_SOCKET, SO_TYPE, &type, &size), "getsockopt");
  const int client = check(::socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");
  const sockaddr_in address = loopback(port(listener));
  check(::connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
  return client;
}

unsigned FakeSupervisor::queued(std::size_t listener) const {
  tcp_info info{};
  socklen_t size = sizeof info;
  check(::getsockopt(sockets_[listener], IPPROTO_TCP, TCP_INFO, &info, &size), "TCP_INFO");
  return info.tcpi_unacked;
}

void FakeSupervisor::close_offered() {
  for (const int descriptor : offered_) ::close(descriptor);
}

void FakeSupervisor::offer() {
  offered_.clear();
  const auto duplicate = [this](int descriptor) {
    offered_.push_back(check(::dup(descriptor), "dup"));
    return offered_.back();
  };
  set_number(HF_ENV_CHANNEL, duplicate(worker_end_));
  if (page_descriptor_ >= 0) set_number(HF_ENV_PAGE, duplicate(page_descriptor_));
  set_number(HF_ENV_SLOT, 2);
  set_number(HF_ENV_SLOTS, 4);
  set_number(HF_ENV_GENERATION, 7);
  set_number(HF_ENV_HEARTBEAT, 400);
  ::setenv(HF_ENV_POOL, "web", 1);
  ::setenv(HF_ENV_LISTENERS, "http=127.0.0.1:8080,a%2Cb%3D%25=unix:/run/x%2Cy", 1);
  if (sockets_.empty()) return;
  std::string listeners;
  std::string numbers;
  for (std::size_t i = 0; i < sockets_.size(); ++i) {
    const bool channel = sockets_[i] < 0;
    listeners +=
        (i == 0 ? "l" : ",l") + std::to_string(i) + "=127.0.0.1:" + (channel ? "8080" : std::to_string(port(i)));
    numbers += (i == 0 ? "" : ",") + (channel ? "-" : std::to_string(duplicate(sockets_[i])));
  }
  ::setenv(HF_ENV_LISTENERS, listeners.c_str(), 1);
  ::setenv(HF_ENV_SOCKETS, numbers.c_str(), 1);
}

std::vector<std::byte> FakeSupervisor::connections_frame(unsigned count) {
  std::vector<std::byte> bytes(sizeof(hf_frame_header) + count * sizeof(hf_connection_record));
  hf_frame_header header{};
  header.type = HF_FRAME_CONNECTIONS;
  header.count = static_cast<std::uint16_t>(count);
  header.length = static_cast<std::uint32_t>(bytes.size());
  std::memcpy(bytes.data(), &header, sizeof header);
  for (unsigned i = 0; i < count; ++i) {
    hf_connection_record record{};
    record.record_length = sizeof record;
    record.family = HF_FAMILY_IPV4;
    record.bucket = static_cast<std::uint16_t>(i);
    record.id = next_id_++;
    const std::uint8_t remote[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, static_cast<std::uint8_t>(i)};
    std::memcpy(record.remote, remote, sizeof remote);
    std::memcpy(record.local, remote, sizeof remote);
    record.remote_port = 40000;
    record.local_port = 8080;
    std::memcpy(bytes.data() + sizeof header + i * sizeof record, &record, sizeof record);
  }
  return bytes;
}

bool FakeSupervisor::send_connections(unsigned count) {
  std::vector<int> passed;
  for (unsigned i = 0; i < count; ++i) {
    int ends[2];
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), "socketpair");
    clients_.push_back(ends[0]);
    passed.push_back(ends[1]);
  }
  const bool sent = send_raw(connections_frame(count), passed);
  for (const int descriptor : passed) ::close(descriptor);
  return sent;
}

int FakeSupervisor::send_tcp_connection() {
  const int listener = check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  sockaddr_in address = loopback(0);
  socklen_t size = sizeof address;
  check(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), "bind");
  check(::listen(listener, 1), "listen");
  check(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
  const int client = check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
  check(::connect(client, reinterpret_cast<sockaddr*>(&address), size), "connect");
  const int accepted = check(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept");
  (void)send_raw(connections_frame(1), std::span(&accepted, 1));
  ::close(accepted);
  ::close(listener);
  clients_.push_back(client);
  return client;
}

void FakeSupervisor::send_drain(std::uint64_t deadline_ns, std::uint64_t spread_ns) {
  hf_frame_drain frame{};
  frame.header = {HF_FRAME_DRAIN, 0, sizeof frame};
  frame.deadline_ns = deadline_ns;
  frame.spread_ns = spread_ns;
  EXPECT_TRUE(send_raw(bytes_of(frame)));
}

bool FakeSupervisor::send_raw(std::span<const std::byte> bytes, std::span<const int> descriptors) {
  iovec part{const_cast<std::byte*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(253 * sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!descriptors.empty()) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(descriptors.size_bytes());
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(descriptors.size_bytes());
    std::memcpy(CMSG_DATA(header), descriptors.data(), descriptors.size_bytes());
  }
  return ::sendmsg(supervisor_end_, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

std::optional<std::vector<std::byte>> FakeSupervisor::receive() {
  pollfd waiting{supervisor_end_, POLLIN, 0};
  if (::poll(&waiting, 1, kPatience) != 1) return std::nullopt;
  std::vector<std::byte> bytes(HF_MAX_FRAME);
  const ssize_t length = ::recv(supervisor_end_, bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (length <= 0) return std::nullopt;
  bytes.resize(static_cast<std::size_t>(length));
  return bytes;
}

std::optional<std::uint16_t> FakeSupervisor::receive_type() {
  const std::optional<std::vector<std::byte>> bytes = receive();
  if (!bytes || bytes->size() < sizeof(hf_frame_header)) return std::nullopt;
  hf_frame_header header;
  std::memcpy(&header, bytes->data(), sizeof header);
  EXPECT_EQ(header.length, bytes->size());
  return header.type;
}

std::uint64_t FakeSupervisor::receive_number(std::uint16_t type) {
  const std::optional<std::vector<std::byte>> bytes = receive();
  if (!bytes || bytes->size() != sizeof(hf_frame_number)) {
    ADD_FAILURE() << "no frame with a number came";
    return 0;
  }
  hf_frame_number frame;
  std::memcpy(&frame, bytes->data(), sizeof frame);
  EXPECT_EQ(frame.header.type, type);
  return frame.number;
}

bool FakeSupervisor::has_frame() const {
  pollfd waiting{supervisor_end_, POLLIN, 0};
  return ::poll(&waiting, 1, 0) == 1;
}

unsigned FakeSupervisor::fill_from_worker() {
  hf_frame_header frame{};
  frame.type = 999;
  frame.length = sizeof frame;
  unsigned sent = 0;
  while (::send(worker_end_, &frame, sizeof frame, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0) ++sent;
  return sent;
}

void FakeSupervisor::die() {
  if (worker_end_ >= 0) ::close(std::exchange(worker_end_, -1));
  if (supervisor_end_ >= 0) ::close(std::exchange(supervisor_end_, -1));
}

}  // namespace holdfast::test
