#pragma once

#include <linux/filter.h>
#include <sys/resource.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "sys/user.h"

namespace holdfast {

// Everything that happens between fork and exec. The child of a fork may call async-signal-safe functions only, and
// must not touch what the parent was in the middle of; so the parent prepares all memory before it forks, and the child
// reads it, or writes in place what only it knows.

enum class ChildStage : std::int32_t {
  ProcessGroup,
  Signals,
  WorkingDirectory,
  Cpus,
  DeathSignal,
  Descriptor,  // `index` is the move that failed
  OtherDescriptors,
  NoNewPrivileges,
  Filter,         // the kernel does not take it
  Notifications,  // the descriptor that came with it could not be sent
  Limit,          // `index` is the limit
  Nice,
  Groups,
  Group,
  User,
  FindCommand,      // no candidate exists
  Exec,             // `index` is the candidate
  ExecInterpreter,  // likewise; the file exists, what its first line names does not
};

// What a child that could not exec writes to the status socket before it exits. An exec that succeeds closes the socket
// instead. A child that set a filter has sent the notification descriptor before, with a message of one byte: on its way it
// does not depend on the child any more.
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

struct ChildLimit {
  int resource;
  rlimit limit;
};

struct ChildProgram {
  const char* const* candidates = nullptr;  // paths to try in order; null-terminated
  char* const* arguments = nullptr;         // null-terminated, likewise
  char* const* environment = nullptr;
  std::span<char* const>
      pid_markers;  // each a kPidMarker in one of the arguments or variables, the last of a string first
  const char* working_directory = nullptr;  // null: ours
  std::span<const unsigned long> cpus;      // a mask for sched_setaffinity; empty: ours
  int death_signal = 0;                     // it gets this when `parent` dies; 0: none
  int parent = 0;                           // process id of the forking process, as its children see it
  std::span<FdMove> moves;                  // no target twice
  int first_free = 0;                       // greater than every target
  std::span<const FdRange> others;          // every descriptor from 3 that is no target
  const sock_fprog* filter = nullptr;       // null: none
  std::span<const ChildLimit> limits;
  int nice = 0;                      // added to ours
  int umask = -1;                    // -1: ours
  const Credentials* who = nullptr;  // null: ours
  int status_socket = -1;            // SOCK_SEQPACKET, close-on-exec
};

// Becomes the program, or reports and exits.
[[noreturn]] void child_exec(const ChildProgram& program) noexcept;

}  // namespace holdfast
