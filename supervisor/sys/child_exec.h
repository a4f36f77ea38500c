#pragma once

#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <span>

namespace holdfast {

// Everything that happens between fork and exec. The child of a fork may call async-signal-safe functions only, and
// must not touch what the parent was in the middle of; so the parent prepares all memory before it forks, and the child
// only reads it.

enum class ChildStage : std::int32_t {
  ProcessGroup,
  Signals,
  WorkingDirectory,
  Descriptor,  // `index` is the move that failed
  OtherDescriptors,
  OpenFileLimit,
  FindCommand,      // no candidate exists
  Exec,             // `index` is the candidate
  ExecInterpreter,  // likewise; the file exists, what its first line names does not
};

// What a child that could not exec writes to the status pipe before it exits. An exec that succeeds closes the pipe
// instead.
struct ChildFailure {
  ChildStage stage;
  std::int32_t error;  // errno
  std::int32_t index;
};

// A descriptor of ours and its number in the child.
struct FdMove {
  int from;  // written by the child: a source that stands where a target will be is moved out of the way first
  int to;
};

// An inclusive range of descriptors that the exec is to close.
struct FdRange {
  unsigned first;
  unsigned last;
};

struct ChildProgram {
  const char* const* candidates = nullptr;  // paths to try in order; null-terminated
  char* const* arguments = nullptr;         // null-terminated, likewise
  char* const* environment = nullptr;
  const char* working_directory = nullptr;  // null: ours
  std::span<FdMove> moves;                  // no target twice
  int first_free = 0;                       // greater than every target
  std::span<const FdRange> others;          // every descriptor from 3 that is no target
  const rlimit* open_files = nullptr;       // null: ours
  int status_pipe = -1;                     // close-on-exec
};

// Becomes the program, or reports and exits.
[[noreturn]] void child_exec(const ChildProgram& program) noexcept;

}  // namespace holdfast
