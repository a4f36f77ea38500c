#pragma once

namespace holdfast {

// Ends the process over a mistake of our own: one line to standard error, then abort. Never for what a worker, a client
// or the kernel may do. Safe between fork and exec.
[[noreturn]] void fail_check(const char* what) noexcept;

}  // namespace holdfast
