#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "sys/unique_fd.h"

namespace holdfast {

// The name of an open file that lasts: the same in every process that has it, and no other one's while it lives. `kind` is
// for people ("channel"); what follows is the kernel's number for the socket (SO_COOKIE) or the file (its inode).
//
// Not for descriptors of which the kernel knows no file of their own (pidfd, seccomp notifications): all of these would have one
// name.
[[nodiscard]] std::string lasting_name(std::string_view kind, BorrowedFd fd);

// The descriptors of a state that is being saved, by name. They stay who they belong to, but for those that it was given to keep.
class FdList {
 public:
  // Adds it under its lasting name and answers that; nothing is added for an empty descriptor, whose name is empty.
  std::string add(std::string_view kind, BorrowedFd fd);
  // The same for one that has no lasting name: whoever calls knows one.
  std::string add_as(std::string name, BorrowedFd fd);
  // The same as `add` for one that is made for the state: it belongs to the list.
  std::string keep(std::string_view kind, UniqueFd fd);

  [[nodiscard]] const std::map<std::string, int>& numbers() const { return numbers_; }

 private:
  std::map<std::string, int> numbers_;
  std::vector<UniqueFd> kept_;
};

// The descriptors that come with a saved state, by name. What nobody takes is closed with it.
class FdTable {
 public:
  FdTable() = default;
  // Those that stand under these numbers now; they are close-on-exec from here on. A number under which nothing stands
  // is left out.
  [[nodiscard]] static FdTable inherited(const std::map<std::string, std::int64_t>& numbers);

  void put(std::string name, UniqueFd fd) { fds_[std::move(name)] = std::move(fd); }
  [[nodiscard]] bool has(const std::string& name) const { return fds_.contains(name); }
  // EBADF names the one that is not there.
  [[nodiscard]] Result<UniqueFd> take(const std::string& name);
  [[nodiscard]] UniqueFd take_if_there(const std::string& name);
  [[nodiscard]] std::size_t size() const { return fds_.size(); }

 private:
  std::map<std::string, UniqueFd> fds_;
};

}  // namespace holdfast
