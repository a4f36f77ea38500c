#include "sys/fd_table.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <limits>
#include <utility>

namespace holdfast {

std::string lasting_name(std::string_view kind, BorrowedFd fd) {
  std::uint64_t number = 0;
  socklen_t length = sizeof number;
  if (::getsockopt(fd.get(), SOL_SOCKET, SO_COOKIE, &number, &length) != 0) {
    struct stat file {};
    if (::fstat(fd.get(), &file) == 0) number = file.st_ino;
  }
  return std::string(kind) + "." + std::to_string(number);
}

std::string FdList::add(std::string_view kind, BorrowedFd fd) {
  return fd.get() < 0 ? "" : add_as(lasting_name(kind, fd), fd);
}

std::string FdList::add_as(std::string name, BorrowedFd fd) {
  if (fd.get() < 0) return "";
  numbers_.insert_or_assign(name, fd.get());
  return name;
}

std::string FdList::keep(std::string_view kind, UniqueFd fd) {
  kept_.push_back(std::move(fd));
  return add(kind, kept_.back());
}

FdTable FdTable::inherited(const std::map<std::string, std::int64_t>& numbers) {
  FdTable table;
  for (const auto& [name, number] : numbers) {
    if (number <= 2 || number > std::numeric_limits<int>::max()) continue;  // the standard streams are not to be had
    const int fd = static_cast<int>(number);
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) table.put(name, UniqueFd(fd));
  }
  return table;
}

Result<UniqueFd> FdTable::take(const std::string& name) {
  UniqueFd fd = take_if_there(name);
  if (fd) return fd;
  return Error{std::make_error_code(std::errc::bad_file_descriptor), "take over '" + name + "'"};
}

UniqueFd FdTable::take_if_there(const std::string& name) {
  const auto found = fds_.find(name);
  if (found == fds_.end()) return {};
  UniqueFd fd = std::move(found->second);
  fds_.erase(found);
  return fd;
}

}  // namespace holdfast
