#include "sys/bind_filter.h"

#include <linux/seccomp.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <type_traits>

#include "sys/unique_fd.h"

namespace holdfast {
namespace {

constexpr std::uint32_t kRefused = SCMP_ACT_ERRNO(EPERM);
constexpr std::array kCalls{SCMP_SYS(bind), SCMP_SYS(listen)};
constexpr unsigned kLevelWithNotifications = 6;

// What a kernel may run beside its own architecture.
struct Foreign {
  std::uint32_t native;
  std::uint32_t foreign;
};
constexpr std::array kForeign{
    Foreign{SCMP_ARCH_X86_64, SCMP_ARCH_X86},
    Foreign{SCMP_ARCH_X86_64, SCMP_ARCH_X32},
    Foreign{SCMP_ARCH_AARCH64, SCMP_ARCH_ARM},
    Foreign{SCMP_ARCH_S390X, SCMP_ARCH_S390},
};

struct ReleaseFilter {
  void operator()(void* filter) const { ::seccomp_release(filter); }
};
using Filter = std::unique_ptr<std::remove_pointer_t<scmp_filter_ctx>, ReleaseFilter>;

// libseccomp answers a negative errno.
bool worked(int answer) {
  if (answer < 0) errno = -answer;
  return answer >= 0;
}

Filter new_filter() {
  Filter filter(::seccomp_init(SCMP_ACT_ALLOW));
  if (!filter) {
    errno = ENOMEM;
    return nullptr;
  }
  // An architecture that is in no list here: none that Linux runs beside another.
  if (!worked(::seccomp_attr_set(filter.get(), SCMP_FLTATR_ACT_BADARCH, kRefused))) return nullptr;
  return filter;
}

bool add_calls(const Filter& filter, std::uint32_t action) {
  for (const int call : kCalls) {
    if (!worked(::seccomp_rule_add(filter.get(), action, call, 0))) return false;
  }
  return true;
}

// Adds what stands for the foreign architectures. Nothing to do where there are none.
bool refuse_foreign(const Filter& filter) {
  Filter refusing = new_filter();
  if (!refusing) return false;
  bool any = false;
  for (const auto& [native, foreign] : kForeign) {
    if (native != ::seccomp_arch_native()) continue;
    if (!worked(::seccomp_arch_add(refusing.get(), foreign))) return false;
    any = true;
  }
  if (!any) return true;
  if (!worked(::seccomp_arch_remove(refusing.get(), SCMP_ARCH_NATIVE))) return false;
  if (!add_calls(refusing, kRefused)) return false;
  if (!worked(::seccomp_merge(filter.get(), refusing.get()))) return false;
  (void)refusing.release();  // merged: it belongs to the other
  return true;
}

}  // namespace

Result<std::vector<sock_filter>> make_bind_filter() {
  const std::string doing = "make the filter that intercepts bind";
  // Else libseccomp would ask this kernel, and say less clearly than the kernel itself will when the filter is set.
  if (!worked(::seccomp_api_set(kLevelWithNotifications))) return last_error(doing);
  const Filter filter = new_filter();
  if (!filter || !add_calls(filter, SCMP_ACT_NOTIFY) || !refuse_foreign(filter)) return last_error(doing);

  const UniqueFd file(::memfd_create("bind-filter", MFD_CLOEXEC));
  if (!file || !worked(::seccomp_export_bpf(filter.get(), file.get()))) return last_error(doing);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return last_error(doing);
  const auto size = static_cast<std::size_t>(status.st_size);
  std::vector<sock_filter> program(size / sizeof(sock_filter));
  if (::pread(file.get(), program.data(), size, 0) != static_cast<ssize_t>(size)) return last_error(doing);
  return program;
}

int set_bind_filter(const sock_fprog& filter) noexcept {
  // Once we have taken up a call, only a deadly signal shall take it back: else it would be restarted after its socket has
  // been exchanged already. Linux 5.19; without it `Capture` sees to that.
  for (const unsigned long more : {SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, 0UL}) {
    const long fd = ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | more, &filter);
    if (fd >= 0 || errno != EINVAL) return static_cast<int>(fd);
  }
  return -1;
}

Outcome check_interception() {
  Result<std::vector<sock_filter>> filter = make_bind_filter();
  if (!filter) return std::move(filter).error();
  const sock_fprog program{static_cast<unsigned short>(filter->size()), filter->data()};
  const pid_t child = ::fork();
  if (child < 0) return last_error("start a process that tries to have its bind intercepted");
  if (child == 0) {
    const bool set = ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && set_bind_filter(program) >= 0;
    ::_exit(set ? 0 : errno);  // every errno that may be here is below 256
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  if (status == 0) return Done{};
  errno = WIFEXITED(status) ? WEXITSTATUS(status) : EPERM;
  return last_error("intercept the bind of a process (seccomp user notification, Linux 5.9)");
}

}  // namespace holdfast
