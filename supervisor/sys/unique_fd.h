#pragma once

#include <utility>
#include <vector>

namespace holdfast {

class UniqueFd;

// A descriptor that someone else owns and keeps open for as long as this is used.
class BorrowedFd {
 public:
  explicit constexpr BorrowedFd(int fd) : fd_(fd) {}
  BorrowedFd(const UniqueFd& fd);  // NOLINT(google-explicit-constructor): to look is always allowed
  [[nodiscard]] constexpr int get() const { return fd_; }

 private:
  int fd_;
};

// Owns a descriptor: closes it once, keeps errno. EBADF on close is our own mistake and ends the process.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { reset(); }

  [[nodiscard]] int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }
  void reset(int fd = -1);

 private:
  int fd_ = -1;
};

// Closes them all, with one system call for each run of consecutive numbers: descriptors that were accepted in a row usually are one.
void close_all(std::vector<UniqueFd> fds);

inline BorrowedFd::BorrowedFd(const UniqueFd& fd) : fd_(fd.get()) {}

}  // namespace holdfast
