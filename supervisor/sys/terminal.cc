#include "sys/terminal.h"

#include <unistd.h>

#include <cstdlib>

namespace holdfast {

bool standard_output_is_terminal() {
  const char* no_colour = std::getenv("NO_COLOR");
  return isatty(STDOUT_FILENO) == 1 && (no_colour == nullptr || *no_colour == '\0');
}

}  // namespace holdfast
