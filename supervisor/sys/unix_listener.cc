#include "sys/unix_listener.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>

#include "sys/sockets.h"

namespace holdfast {
namespace {

// The kernel takes a name without its final zero, but then getsockname and most programs do not.
constexpr std::size_t kLongestPath = sizeof(sockaddr_un::sun_path) - 1;

struct UnixName {
  sockaddr_un address{};
  socklen_t length = 0;
};

bool is_abstract(const UnixAddress& address) { return address.path.starts_with('@'); }

// Needs a text of at most kLongestPath bytes.
UnixName name_of(std::string_view text, char first) {
  UnixName name;
  name.address.sun_family = AF_UNIX;
  std::memcpy(name.address.sun_path, text.data(), text.size());
  name.address.sun_path[0] = first;
  const std::size_t final_zero = first == '\0' ? 0 : 1;  // an abstract name is as long as it is, zeros included
  name.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + text.size() + final_zero);
  return name;
}
UnixName path_name(std::string_view path) { return name_of(path, path.front()); }
UnixName abstract_name(std::string_view text) { return name_of(text, '\0'); }

Result<UniqueFd> bound_listener(const UnixName& name, int backlog, const std::string& doing) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return last_error(doing);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name.address), name.length) != 0) return last_error(doing);
  if (::listen(fd.get(), backlog) != 0) return last_error(doing);
  return fd;
}

enum class Occupant { Nobody, StaleSocket, LiveSocket, OtherFile };

// Who answers at a path.
Result<Occupant> occupant_of(const std::string& path, const UnixName& name, const std::string& doing) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno == ENOENT) return Occupant::Nobody;
    return last_error(doing);
  }
  if (!S_ISSOCK(status.st_mode)) return Occupant::OtherFile;
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!probe) return last_error(doing);
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&name.address), name.length) == 0)
    return Occupant::LiveSocket;
  switch (errno) {
    case ECONNREFUSED:
      return Occupant::StaleSocket;
    case ENOENT:
      return Occupant::Nobody;
    case EAGAIN:      // its backlog is full
    case EPROTOTYPE:  // it is open, and of another type
      return Occupant::LiveSocket;
    default:
      return last_error(doing);
  }
}

// Removes the temporary file unless it has become the real one.
struct TemporaryFile {
  BorrowedFd directory;
  std::string name;
  ~TemporaryFile() { (void)::unlinkat(directory.get(), name.c_str(), 0); }  // it is gone after a plain rename
};

std::string random_suffix() {
  std::uint32_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) number = static_cast<std::uint32_t>(::getpid());
  std::array<char, 16> text{};
  (void)std::snprintf(text.data(), text.size(), ".%08x", number);
  return text.data();
}

// Gives the temporary file its name. What two supervisors do at the same moment never ends with both believing they own
// the path.
Outcome take_path(BorrowedFd directory, const std::string& temporary, const UnixName& temporary_name,
                  const std::string& path, const std::string& base, Occupant occupant, const std::string& doing) {
  const auto rename_to_base = [&](unsigned flags) {
    return ::renameat2(directory.get(), temporary.c_str(), directory.get(), base.c_str(), flags) == 0;
  };
  const auto in_use = [&] { return Error{std::make_error_code(std::errc::address_in_use), doing}; };

  if (occupant == Occupant::StaleSocket && rename_to_base(RENAME_EXCHANGE)) {
    // What was exchanged must still be the stale one; else give it back.
    const std::string displaced = path.substr(0, path.size() - base.size()) + temporary;
    const Result<Occupant> now = occupant_of(displaced, temporary_name, doing);
    if (now && (*now == Occupant::StaleSocket || *now == Occupant::Nobody)) return Done{};
    (void)rename_to_base(RENAME_EXCHANGE);  // it worked a moment ago; if not, the address is in use all the same
    return in_use();
  }
  if (occupant == Occupant::Nobody && rename_to_base(RENAME_NOREPLACE)) return Done{};
  if (occupant == Occupant::Nobody && errno == EEXIST) return in_use();
  // A file system without the flags of renameat2.
  if (!rename_to_base(0)) return last_error(doing);
  return Done{};
}

Result<UniqueFd> listen_on_path(const std::string& path, int backlog, const std::string& doing) {
  Result<Occupant> occupant = occupant_of(path, path_name(path), doing);
  if (!occupant) return std::move(occupant).error();
  if (*occupant == Occupant::LiveSocket) return Error{std::make_error_code(std::errc::address_in_use), doing};
  if (*occupant == Occupant::OtherFile) {
    return Error{std::make_error_code(std::errc::file_exists), doing + " (a file that is not a socket is in the way)"};
  }

  const std::size_t slash = path.rfind('/');
  const std::string base = slash == std::string::npos ? path : path.substr(slash + 1);
  const std::string directory_path = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const UniqueFd directory(::open(directory_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory) return last_error(doing);

  // The temporary name is longer than the real one: where it does not fit, it is reached through the directory's
  // descriptor.
  const std::string suffix = random_suffix();
  const bool fits = path.size() + suffix.size() <= kLongestPath;
  const TemporaryFile temporary{directory, fits ? base + suffix : suffix};
  const UnixName name =
      path_name(fits ? path + suffix : "/proc/self/fd/" + std::to_string(directory.get()) + "/" + suffix);

  Result<UniqueFd> listener = bound_listener(name, backlog, doing);
  if (!listener) return listener;
  Outcome taken = take_path(directory, temporary.name, name, path, base, *occupant, doing);
  if (!taken) return std::move(taken).error();
  return listener;
}

}  // namespace

Result<UniqueFd> listen_on_unix(const UnixAddress& address, int backlog, const std::string& doing) {
  if (address.path.empty() || address.path.find('\0') != std::string::npos) {
    return Error{std::make_error_code(std::errc::invalid_argument), doing};
  }
  if (address.path.size() > kLongestPath) {
    return Error{std::make_error_code(std::errc::filename_too_long),
                 doing + " (the path of a Unix socket has at most " + std::to_string(kLongestPath) + " bytes)"};
  }
  if (is_abstract(address)) return bound_listener(abstract_name(address.path), backlog, doing);
  return listen_on_path(address.path, backlog, doing);
}

void remove_unix_path(const UnixAddress& address, BorrowedFd listener) {
  if (is_abstract(address) || address.path.empty() || address.path.size() > kLongestPath) return;
  (void)::shutdown(listener.get(), SHUT_RDWR);  // from here on our own file refuses as a stale one does
  const Result<Occupant> occupant = occupant_of(address.path, path_name(address.path), "");
  if (occupant && *occupant == Occupant::StaleSocket)
    (void)::unlink(address.path.c_str());  // nobody answers: nobody misses it
}

}  // namespace holdfast
