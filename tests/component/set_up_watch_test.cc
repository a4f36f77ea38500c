#include "worker/set_up_watch.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <new>
#include <thread>

#include "component/run_until.h"

namespace holdfast {
namespace {

using namespace std::chrono_literals;

// A process of two threads: the first sleeps, the other computes until it is told to sleep.
class Worker {
 public:
  Worker()
      : may_sleep_(new (::mmap(nullptr, sizeof(std::atomic<bool>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                               -1, 0)) std::atomic<bool>(false)),
        pid_(::fork()) {
    if (pid_ != 0) return;
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    std::thread([this] {
      while (!*may_sleep_) {
      }
      for (;;) ::pause();
    }).detach();
    for (;;) ::pause();
  }
  ~Worker() {
    ::kill(pid_, SIGKILL);
    (void)::waitpid(pid_, nullptr, 0);
    ::munmap(may_sleep_, sizeof(std::atomic<bool>));
  }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  void sleep() { *may_sleep_ = true; }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  std::atomic<bool>* may_sleep_;
  pid_t pid_;
};

TEST(SetUpWatch, IsDoneOnceAllThreadsSleep) {
  Loop loop;
  Worker worker;
  int done = 0;
  bool slept = false;
  SetUpWatch watch(loop, worker.pid(), loop.now() + 1h, [&] {
    EXPECT_TRUE(slept);
    done++;
  });
  Timer later(loop, [&] {
    slept = true;
    worker.sleep();
  });
  later.arm(loop.now() + 50ms);
  EXPECT_TRUE(run_until(loop, [&] { return done > 0; }));
  Timer again(loop, [&] { done += 10; });
  again.arm(loop.now() + 50ms);
  EXPECT_TRUE(run_until(loop, [&] { return done >= 10; }));
  EXPECT_EQ(done, 11) << "it is called once";
}

TEST(SetUpWatch, OfOneThatNeverSleepsEndsInTime) {
  Loop loop;
  const Worker worker;
  bool done = false;
  SetUpWatch watch(loop, worker.pid(), loop.now() + 20ms, [&] { done = true; });
  EXPECT_TRUE(run_until(loop, [&] { return done; }));
}

TEST(SetUpWatch, OfOneThatIsNoMoreIsDone) {
  Loop loop;
  bool done = false;
  SetUpWatch watch(loop, -1, loop.now() + 1h, [&] { done = true; });
  EXPECT_TRUE(run_until(loop, [&] { return done; }));
}

}  // namespace
}  // namespace holdfast
