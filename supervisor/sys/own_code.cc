#include "sys/own_code.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>

namespace holdfast {

namespace {

int forget_segments(dl_phdr_info* object, std::size_t, void*) {
  const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < object->dlpi_phnum; ++i) {
    const ElfW(Phdr)& segment = object->dlpi_phdr[i];
    // What may be written holds more than its file does.
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_X) == 0 || (segment.p_flags & PF_W) != 0) continue;
    const std::uintptr_t start = object->dlpi_addr + segment.p_vaddr;
    const std::uintptr_t first = start & ~(page - 1);
    // It can only fail where nothing is to be had, as with the kernel's own object.
    (void)::madvise(reinterpret_cast<void*>(first), start + segment.p_filesz - first, MADV_DONTNEED);
  }
  return 0;
}

}  // namespace

void forget_used_code() { (void)::dl_iterate_phdr(&forget_segments, nullptr); }

}  // namespace holdfast
