#include "sys/unix_listener.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
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

// With a mode the file never has more permission than that, not even for a moment: the kernel makes it with the mode of
// the socket, less the umask.
Result<UniqueFd> bound_socket(const UnixName& name, std::optional<unsigned> mode, const std::string& doing) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return last_error(doing);
  if (mode && ::fchmod(fd.get(), *mode) != 0) return last_error(doing);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&name.address), name.length) != 0) return last_error(doing);
  return fd;
}

Outcome start_listening(BorrowedFd socket, int backlog, const std::string& doing) {
  if (::listen(socket.get(), backlog) != 0) return last_error(doing);
  return Done{};
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

// The number that a text is.
std::optional<id_t> number_of(const std::string& text) {
  id_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (code != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// At the start nothing else runs that could look up names at the same time.
std::optional<uid_t> user_of(const std::string& text) {
  const passwd* const entry = ::getpwnam(text.c_str());  // NOLINT(concurrency-mt-unsafe)
  return entry != nullptr ? std::optional(entry->pw_uid) : number_of(text);
}
std::optional<gid_t> group_of(const std::string& text) {
  const group* const entry = ::getgrnam(text.c_str());  // NOLINT(concurrency-mt-unsafe)
  return entry != nullptr ? std::optional(entry->gr_gid) : number_of(text);
}

// Owner, group and mode as they were chosen; what was not stays as it is.
Outcome give_file(BorrowedFd directory, const std::string& name, const SocketFile& file, const std::string& doing) {
  constexpr auto kKeep = static_cast<id_t>(-1);
  const std::optional<uid_t> user = file.user.empty() ? kKeep : user_of(file.user);
  const std::optional<gid_t> group = file.group.empty() ? kKeep : group_of(file.group);
  if (!user) return Error{{}, doing + ": there is no user '" + file.user + "'"};
  if (!group) return Error{{}, doing + ": there is no group '" + file.group + "'"};
  if ((*user != kKeep || *group != kKeep) &&
      ::fchownat(directory.get(), name.c_str(), *user, *group, AT_SYMLINK_NOFOLLOW) != 0)
    return last_error(doing + " and give it to " + file.user + ":" + file.group);
  if (file.mode && ::fchmodat(directory.get(), name.c_str(), *file.mode, 0) != 0) return last_error(doing);
  return Done{};
}

Result<UniqueFd> listen_on_path(const UnixAddress& address, int backlog, const std::string& doing) {
  const std::string& path = address.path;
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

  Result<UniqueFd> listener = bound_socket(name, address.file.mode, doing);
  if (!listener) return listener;
  // Nobody can connect before the file is whose it shall be.
  if (Outcome given = give_file(directory, temporary.name, address.file, doing); !given)
    return std::move(given).error();
  if (Outcome listening = start_listening(*listener, backlog, doing); !listening) return std::move(listening).error();
  Outcome taken = take_path(directory, temporary.name, name, path, base, *occupant, doing);
  if (!taken) return std::move(taken).error();
  return listener;
}

Result<UniqueFd> listen_on_abstract_name(const std::string& text, int backlog, const std::string& doing) {
  Result<UniqueFd> listener = bound_socket(abstract_name(text), std::nullopt, doing);
  if (!listener) return listener;
  if (Outcome listening = start_listening(*listener, backlog, doing); !listening) return std::move(listening).error();
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
  if (is_abstract(address)) return listen_on_abstract_name(address.path, backlog, doing);
  return listen_on_path(address, backlog, doing);
}

void remove_unix_path(const UnixAddress& address, BorrowedFd listener) {
  if (is_abstract(address) || address.path.empty() || address.path.size() > kLongestPath) return;
  (void)::shutdown(listener.get(), SHUT_RDWR);  // from here on our own file refuses as a stale one does
  const Result<Occupant> occupant = occupant_of(address.path, path_name(address.path), "");
  if (occupant && *occupant == Occupant::StaleSocket)
    (void)::unlink(address.path.c_str());  // nobody answers: nobody misses it
}

}  // namespace holdfast
