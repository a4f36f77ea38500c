#include "sys/seccomp_notify.h"

#include <fcntl.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <optional>
#include <string_view>
#include <vector>

namespace holdfast {
namespace {

constexpr unsigned kPidfdThread = O_EXCL;  // PIDFD_THREAD, Linux 6.9; the headers of Debian 12 are older

Error invalid(std::string doing) { return {std::make_error_code(std::errc::invalid_argument), std::move(doing)}; }

// The kernel's structures may be longer than those that we were compiled with.
const seccomp_notif_sizes& notification_sizes() {
  static const seccomp_notif_sizes sizes = [] {
    seccomp_notif_sizes asked{};
    if (::syscall(SYS_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &asked) != 0) asked = {};
    asked.seccomp_notif = std::max<std::uint16_t>(asked.seccomp_notif, sizeof(seccomp_notif));
    asked.seccomp_notif_resp = std::max<std::uint16_t>(asked.seccomp_notif_resp, sizeof(seccomp_notif_resp));
    return asked;
  }();
  return sizes;
}

int retried_ioctl(BorrowedFd fd, unsigned long request, void* argument) {
  int answer = -1;
  do {
    answer = ::ioctl(fd.get(), request, argument);
  } while (answer < 0 && errno == EINTR);
  return answer;
}

Answered respond(BorrowedFd notifications, const seccomp_notif_resp& response) {
  std::vector<std::byte> buffer(notification_sizes().seccomp_notif_resp);
  std::memcpy(buffer.data(), &response, sizeof response);
  // ENOENT is the only failure that a caller can bring about.
  const int answer = retried_ioctl(notifications, SECCOMP_IOCTL_NOTIF_SEND, buffer.data());
  return answer == 0 ? Answered::Delivered : Answered::Interrupted;
}

std::string path_in_proc(const InterceptedCall& call, const std::string& name) {
  return "/proc/" + std::to_string(call.thread) + "/" + name;
}

// The value of "NAME:\tVALUE" in a file of /proc.
std::optional<std::string> value_in(const std::string& path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name) || line.size() <= name.size() || line[name.size()] != ':') continue;
    return line.substr(line.find_first_not_of(" \t", name.size() + 1));
  }
  return std::nullopt;
}

// Descriptors belong to a thread; before Linux 6.9 a pidfd could mean the whole process only, whose threads nearly
// always share them.
UniqueFd open_thread(const InterceptedCall& call) {
  UniqueFd thread(static_cast<int>(::syscall(SYS_pidfd_open, call.thread, kPidfdThread)));
  if (thread || errno != EINVAL) return thread;
  const std::optional<std::string> process = value_in(path_in_proc(call, "status"), "Tgid");
  if (!process) {
    errno = ESRCH;
    return {};
  }
  return UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, std::atoi(process->c_str()), 0)));
}

std::string unix_text(const sockaddr_un& address, std::size_t length) {
  const std::size_t size = length - offsetof(sockaddr_un, sun_path);
  const std::string_view path(std::begin(address.sun_path), std::min(size, sizeof address.sun_path));
  if (path.empty()) return "unix:";
  if (path.front() == '\0') return "unix:@" + std::string(path.substr(1));
  return "unix:" + std::string(path.substr(0, path.find('\0')));
}

AskedAddress inet_address(const sockaddr_in& asked) {
  AskedAddress result{
      AskedAddress::Family::Inet, IpAddress::v4(ntohl(asked.sin_addr.s_addr)), ntohs(asked.sin_port), {}};
  result.text = result.address.text() + ":" + std::to_string(result.port);
  return result;
}

AskedAddress inet6_address(const sockaddr_in6& asked) {
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &asked.sin6_addr, bytes.size());
  AskedAddress result{AskedAddress::Family::Inet6, IpAddress::v6(bytes), ntohs(asked.sin6_port), {}};
  const std::string mapped = result.address.is_v6() ? "" : "::ffff:";
  result.text = "[" + mapped + result.address.text() + "]:" + std::to_string(result.port);
  return result;
}

template <class Address>
Address address_in(const sockaddr_storage& storage) {
  Address address{};
  std::memcpy(&address, &storage, sizeof address);
  return address;
}

Result<AskedAddress> address_of(const sockaddr_storage& storage, std::size_t length, const std::string& doing) {
  constexpr std::size_t kShortestV6 = offsetof(sockaddr_in6, sin6_scope_id);  // RFC 2133 had no scope
  switch (storage.ss_family) {
    // IPv4 sockets take AF_UNSPEC with the wildcard too; what else has it the kernel refuses, port or no port.
    case AF_UNSPEC:
    case AF_INET: {
      if (length < sizeof(sockaddr_in)) return invalid(doing);
      const auto asked = address_in<sockaddr_in>(storage);
      if (asked.sin_family == AF_UNSPEC && asked.sin_addr.s_addr != INADDR_ANY) return invalid(doing);
      return inet_address(asked);
    }
    case AF_INET6:
      if (length < kShortestV6) return invalid(doing);
      return inet6_address(address_in<sockaddr_in6>(storage));
    case AF_UNIX:
      return AskedAddress{AskedAddress::Family::Unix, {}, 0, unix_text(address_in<sockaddr_un>(storage), length)};
    default:
      return AskedAddress{AskedAddress::Family::Other, {}, 0, "address family " + std::to_string(storage.ss_family)};
  }
}

}  // namespace

Result<CallOrNone> receive_call(BorrowedFd notifications) {
  const std::string doing = "receive an intercepted call";
  // To receive would wait where there is nothing, even after the last process has ended.
  pollfd state{notifications.get(), POLLIN, 0};
  if (::poll(&state, 1, 0) < 0 && errno != EINTR) return last_error(doing);
  if ((state.revents & POLLIN) == 0) return CallOrNone{(state.revents & POLLHUP) != 0 ? NoCall::Ever : NoCall::Now};

  std::vector<std::byte> buffer(notification_sizes().seccomp_notif);  // of zeros, or it is refused
  if (::ioctl(notifications.get(), SECCOMP_IOCTL_NOTIF_RECV, buffer.data()) != 0) {
    if (errno == ENOENT || errno == EINTR) return CallOrNone{NoCall::Now};
    return last_error(doing);
  }
  seccomp_notif notification{};
  std::memcpy(&notification, buffer.data(), sizeof notification);
  const seccomp_data& data = notification.data;
  InterceptedCall call;
  call.id = notification.id;
  call.thread = static_cast<pid_t>(notification.pid);
  call.fd = static_cast<int>(data.args[0]);
  call.kind = data.nr == SYS_listen ? InterceptedCall::Kind::Listen : InterceptedCall::Kind::Bind;
  call.address = data.args[1];
  call.length = data.args[2];
  if (data.nr == SYS_bind || data.nr == SYS_listen) return CallOrNone{call};
  (void)let_call_through(notifications, call);
  return CallOrNone{NoCall::Now};
}

bool still_waits(BorrowedFd notifications, const InterceptedCall& call) {
  std::uint64_t id = call.id;
  return retried_ioctl(notifications, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

Result<AskedAddress> asked_address(const InterceptedCall& call) {
  const std::string doing = "read the address that process " + std::to_string(call.thread) + " binds";
  const auto length = static_cast<std::int32_t>(call.length);  // the kernel takes an int
  sockaddr_storage storage{};
  if (length < static_cast<std::int32_t>(sizeof storage.ss_family) ||
      static_cast<std::size_t>(length) > sizeof storage) {
    return invalid(doing);
  }
  const auto size = static_cast<std::size_t>(length);
  iovec ours{&storage, size};
  // NOLINTNEXTLINE(performance-no-int-to-ptr): a place in another memory than ours
  iovec theirs{reinterpret_cast<void*>(call.address), size};
  const ssize_t read = ::process_vm_readv(call.thread, &ours, 1, &theirs, 1, 0);
  if (read < 0) return last_error(doing);
  if (static_cast<std::size_t>(read) < size) return Error{std::make_error_code(std::errc::bad_address), doing};
  return address_of(storage, size, doing);
}

Result<UniqueFd> socket_of(const InterceptedCall& call) {
  const std::string doing = "look at socket " + std::to_string(call.fd) + " of process " + std::to_string(call.thread);
  const UniqueFd thread = open_thread(call);
  if (!thread) return last_error(doing);
  UniqueFd socket(static_cast<int>(::syscall(SYS_pidfd_getfd, thread.get(), call.fd, 0)));
  if (!socket) return last_error(doing);
  return socket;
}

Result<bool> closes_on_exec(const InterceptedCall& call) {
  const std::string path = path_in_proc(call, "fdinfo/" + std::to_string(call.fd));
  const std::optional<std::string> flags = value_in(path, "flags");
  if (!flags) return Error{std::make_error_code(std::errc::no_such_process), "read " + path};
  constexpr int kOctal = 8;
  return (std::strtoul(flags->c_str(), nullptr, kOctal) & O_CLOEXEC) != 0;
}

Outcome exchange_socket(BorrowedFd notifications, const InterceptedCall& call, BorrowedFd socket, bool close_on_exec) {
  seccomp_notif_addfd exchange{};
  exchange.id = call.id;
  exchange.flags = SECCOMP_ADDFD_FLAG_SETFD;
  exchange.srcfd = static_cast<std::uint32_t>(socket.get());
  exchange.newfd = static_cast<std::uint32_t>(call.fd);
  exchange.newfd_flags = close_on_exec ? O_CLOEXEC : 0;
  if (retried_ioctl(notifications, SECCOMP_IOCTL_NOTIF_ADDFD, &exchange) >= 0) return Done{};
  return last_error("give process " + std::to_string(call.thread) + " its listener as descriptor " +
                    std::to_string(call.fd));
}

Answered answer_call(BorrowedFd notifications, const InterceptedCall& call, int error) {
  seccomp_notif_resp response{};
  response.id = call.id;
  response.error = -error;
  return respond(notifications, response);
}

Answered let_call_through(BorrowedFd notifications, const InterceptedCall& call) {
  seccomp_notif_resp response{};
  response.id = call.id;
  response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  return respond(notifications, response);
}

}  // namespace holdfast
