#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "sys/unique_fd.h"

namespace holdfast {

// This process as another program: exec keeps the process, its children and their pidfds, the descriptors that are not
// close-on-exec, the signal mask, and what is pending.

// Where our program is, or another version of it that has been put in its place.
[[nodiscard]] Result<std::string> own_program();
// Our command line, from argv[0] on.
[[nodiscard]] Result<std::vector<std::string>> own_arguments();

// A text in memory that nobody can change any more.
[[nodiscard]] Result<UniqueFd> sealed_text(std::string_view text);
// All of it, from the beginning. EFBIG if it is longer than `limit`.
[[nodiscard]] Result<std::string> read_sealed_text(BorrowedFd fd, std::size_t limit);

// Where a child may write `size` bytes and no more; `written_text` answers what it has written.
[[nodiscard]] Result<UniqueFd> bounded_memory(std::size_t size);
[[nodiscard]] std::string written_text(BorrowedFd memory);

// While it lives none of these signals is acted upon: they wait, through an exec too.
class SignalsHeld {
 public:
  explicit SignalsHeld(const std::vector<int>& signals);
  ~SignalsHeld();
  SignalsHeld(const SignalsHeld&) = delete;
  SignalsHeld& operator=(const SignalsHeld&) = delete;

 private:
  std::vector<int> signals_;
};
// The same for good: whoever ends in order is not to be ended by another request to.
void hold_signals(const std::vector<int>& signals);
// What the program before us held.
void release_signals(const std::vector<int>& signals);

// By which the next program is told the number of the sealed text with the state. Our own value, and it is unset: no child
// is to have it.
inline constexpr const char* kTakeoverVariable = "HOLDFAST_UPGRADE_STATE";
[[nodiscard]] UniqueFd take_inherited_state();

// Becomes `program`, which is given `state` and inherits `fds`; our environment is its, without the variables of socket
// activation: those sockets are among `fds`. Returns only if that has failed, with everything as it was.
[[nodiscard]] Error become(const std::string& program, const std::vector<std::string>& arguments, BorrowedFd state,
                           const std::vector<BorrowedFd>& fds);

}  // namespace holdfast
