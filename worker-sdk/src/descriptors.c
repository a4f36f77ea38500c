/* The reserve: at RLIMIT_NOFILE the kernel delivers a message without the descriptors that no longer fit and closes
 * them, so the SDK must not read its channel unless a whole batch fits. It cannot ask the kernel how many descriptors
 * are free; it reckons with what it took and what the program released, learns from the numbers of new descriptors, and
 * counts /proc/self/fd when the reckoning says "full". */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"

bool hf_has_room(const struct hf_worker* worker) {
  const int64_t used = worker->others + worker->taken - worker->closed;
  return worker->limit - used >= worker->reserve;
}

void hf_note_descriptor(struct hf_worker* worker, int highest) {
  const int64_t open = worker->taken - worker->closed;
  if (highest + 1 > worker->others + open) worker->others = highest + 1 - open;
}

static int64_t descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT32_MAX) return INT32_MAX;
  return (int64_t)limit.rlim_cur;
}

/* opendir(3) would allocate. */
static int64_t open_descriptors(int64_t limit) {
  const int directory = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return errno == EMFILE ? limit : -1;
  int64_t count = -3; /* ".", ".." and the directory itself */
  _Alignas(struct dirent64) char buffer[4096];
  long size;
  while ((size = syscall(SYS_getdents64, directory, buffer, sizeof buffer)) > 0) {
    for (long at = 0; at < size; at += ((struct dirent64*)(void*)(buffer + at))->d_reclen) ++count;
  }
  (void)close(directory);
  return size < 0 ? -1 : count;
}

void hf_count_descriptors(struct hf_worker* worker) {
  worker->may_count = false;
  worker->limit = descriptor_limit();
  const int64_t count = open_descriptors(worker->limit);
  if (count < 0) return; /* no /proc: the reckoning stands */
  worker->others = count - (worker->taken - worker->closed);
}
