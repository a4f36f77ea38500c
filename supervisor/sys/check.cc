#include "sys/check.h"

#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>

namespace holdfast {

void fail_check(const char* what) noexcept {
  // iovec has no const form; writev only reads.
  const std::array<const char*, 3> words{"holdfast: a mistake of our own: ", what, "\n"};
  std::array<iovec, 3> line{};
  for (std::size_t i = 0; i < line.size(); ++i) line[i] = {const_cast<char*>(words[i]), std::strlen(words[i])};
  (void)!::writev(STDERR_FILENO, line.data(), static_cast<int>(line.size()));  // we end in any case
  std::abort();
}

}  // namespace holdfast
