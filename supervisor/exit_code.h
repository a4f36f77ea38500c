#pragma once

namespace holdfast {

// What the program says by its exit status (holdfast(1)).
enum ExitCode : int {
  kExitOk = 0,
  kExitFailure = 1,      // a runtime failure
  kExitUsage = 2,        // the command line is wrong
  kExitCannotBind = 69,  // EX_UNAVAILABLE: an address is taken or does not exist here
  kExitCrashLoop = 75,   // EX_TEMPFAIL: the workers do not stay up; gave up
  kExitPermission = 77,  // EX_NOPERM
  kExitBadConfig = 78,   // EX_CONFIG: the command or a directory does not exist, values contradict each other
};

}  // namespace holdfast
