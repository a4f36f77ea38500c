#include "standard_output.h"

#include <cstdio>

#include "core/result.h"
#include "exit_code.h"

namespace holdfast {

int print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0) return kExitOk;
  std::fprintf(stderr, "holdfast: %s\n", last_error("write to standard output").message().c_str());
  return kExitFailure;
}

}  // namespace holdfast
