#include "sys/spawn.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "component/kernel_fixtures.h"
#include "core/worker_template.h"
#include "sys/bind_filter.h"
#include "sys/sockets.h"

namespace holdfast {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

const std::pair<std::string, std::string> kPath{"PATH", "/usr/bin:/bin"};

SpawnPlan plan_for(std::vector<std::string> command) {
  SpawnPlan plan;
  plan.command = std::move(command);
  plan.environment = {kPath};
  return plan;
}

SpawnPlan captured(std::vector<std::string> command) {
  SpawnPlan plan = plan_for(std::move(command));
  plan.capture = true;
  return plan;
}

ExitStatus wait_for_end(const Child& child) {
  EXPECT_TRUE(wait_for(child.pidfd, POLLIN));
  const Result<std::optional<ExitStatus>> status = reap(child.pidfd);
  if (!status || !*status) std::abort();
  return **status;
}

// Starts the plan with its standard output in a pipe; answers all of it, once the child has ended.
std::string output_of(SpawnPlan plan) {
  Pipe pipe = make_pipe();
  plan.standard_output = pipe.write;
  const Result<Child> child = spawn(plan);
  pipe.write.reset();
  if (!child) return child.error().message();
  std::string output = read_all(pipe.read);
  EXPECT_EQ(to_text(wait_for_end(*child)), "exited with code 0");
  return output;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

bool has_children() {
  siginfo_t info{};
  return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0;
}

void write_program(const std::string& path, const std::string& text, mode_t mode) {
  std::ofstream(path) << text;
  ::chmod(path.c_str(), mode);
}

// The error of a plan that must fail, and must leave nothing behind.
Error error_of(const SpawnPlan& plan) {
  const std::uint64_t before = open_file_count();
  const Result<Child> child = spawn(plan);
  EXPECT_EQ(open_file_count(), before);
  EXPECT_FALSE(has_children());
  if (child) {
    ADD_FAILURE() << "started";
    std::abort();
  }
  return child.error();
}

TEST(Spawn, StartsAProgramAndTellsHowItEnded) {
  const std::uint64_t before = open_file_count();
  {
    const Result<Child> child = spawn(plan_for({"sh", "-c", "exit 3"}));
    ASSERT_TRUE(child) << child.error().message();
    EXPECT_EQ(wait_for_end(*child), (ExitStatus{3, 0, false}));
    EXPECT_FALSE(reap(child->pidfd));  // once only
  }
  EXPECT_EQ(open_file_count(), before);
  EXPECT_FALSE(has_children());
}

TEST(Spawn, TheChildLeadsAGroupThatCanBeSignalledAsAWhole) {
  Pipe pipe = make_pipe();
  SpawnPlan plan = plan_for({"sh", "-c", "sleep 60 & echo started; wait"});
  plan.standard_output = pipe.write;
  const Result<Child> child = spawn(plan);
  ASSERT_TRUE(child);
  pipe.write.reset();
  EXPECT_EQ(::getpgid(child->pid), child->pid);
  const Result<std::optional<ExitStatus>> running = reap(child->pidfd);
  ASSERT_TRUE(running);
  EXPECT_FALSE(*running);
  ASSERT_TRUE(wait_for(pipe.read, POLLIN));
  signal_group(child->pid, SIGKILL);
  EXPECT_EQ(to_text(wait_for_end(*child)), "killed by signal 9 (SIGKILL)");
  EXPECT_EQ(read_all(pipe.read), "started\n");  // ends only because the grandchild is dead too
  signal_group(child->pid, 0);  // gone already: no error; and no signal, for the number may be somebody's by now
}

TEST(Spawn, SignalsAProcessByItsDescriptor) {
  const Result<Child> child = spawn(plan_for({"sleep", "60"}));
  ASSERT_TRUE(child);
  signal_process(child->pidfd, SIGTERM);
  EXPECT_EQ(wait_for_end(*child).signal, SIGTERM);
  signal_process(child->pidfd, SIGTERM);  // gone already: nothing happens
}

TEST(Spawn, TheEnvironmentAndTheArgumentsAreExactlyThose) {
  SpawnPlan plan = plan_for({"env"});
  plan.environment = {kPath, {"EMPTY", ""}, {"TWO_LINES", "a\nb=c"}};
  EXPECT_EQ(output_of(plan), "PATH=/usr/bin:/bin\nEMPTY=\nTWO_LINES=a\nb=c\n");
  EXPECT_EQ(output_of(plan_for({"printf", "[%s]", "a b", "", "$HOME"})), "[a b][][$HOME]");
}

TEST(Spawn, SignalsAreAsInAFreshProcess) {
  struct sigaction ignored {};
  ignored.sa_handler = SIG_IGN;
  std::array<struct sigaction, 2> before{};
  ::sigaction(SIGPIPE, &ignored, &before[0]);
  ::sigaction(SIGHUP, &ignored, &before[1]);
  sigset_t blocked;
  sigset_t mask_before;
  ::sigemptyset(&blocked);
  ::sigaddset(&blocked, SIGUSR1);
  ::pthread_sigmask(SIG_BLOCK, &blocked, &mask_before);

  const std::string status = output_of(plan_for({"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"}));
  sigset_t mask_after;
  ::pthread_sigmask(SIG_SETMASK, &mask_before, &mask_after);
  ::sigaction(SIGPIPE, &before[0], nullptr);
  ::sigaction(SIGHUP, &before[1], nullptr);

  EXPECT_EQ(status, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  EXPECT_EQ(::sigismember(&mask_after, SIGUSR1), 1);  // and ours are as they were
  EXPECT_EQ(::sigismember(&mask_after, SIGUSR2), 0);
}

TEST(Spawn, AnIgnoredSigchldDoesNotCostTheExitStatus) {
  struct sigaction ignored {};
  struct sigaction before {};
  ignored.sa_handler = SIG_IGN;
  ::sigaction(SIGCHLD, &ignored, &before);
  const Result<Child> child = spawn(plan_for({"sh", "-c", "exit 5"}));
  ASSERT_TRUE(child);
  EXPECT_EQ(wait_for_end(*child).code, 5);
  ::sigaction(SIGCHLD, &before, nullptr);
}

TEST(Spawn, StandardInputIsNothingAndStandardErrorIsWhereThePlanSays) {
  // Whatever ours is at the moment.
  const UniqueFd before(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
  const Pipe ours = make_pipe();
  ASSERT_EQ(::dup2(ours.read.get(), STDIN_FILENO), STDIN_FILENO);
  EXPECT_EQ(output_of(plan_for({"readlink", "/proc/self/fd/0"})), "/dev/null\n");
  if (before) ::dup2(before.get(), STDIN_FILENO);

  Pipe pipe = make_pipe();
  SpawnPlan plan = plan_for({"sh", "-c", "echo oops >&2; echo fine"});
  plan.standard_error = pipe.write;
  EXPECT_EQ(output_of(plan), "fine\n");
  pipe.write.reset();
  EXPECT_EQ(read_all(pipe.read), "oops\n");
}

TEST(Spawn, OnlyPlannedDescriptorsReachTheChild) {
  const Pipe pipe = make_pipe();
  const UniqueFd leaking(::dup(pipe.read.get()));  // not close-on-exec
  const UniqueFd leaking_high(::fcntl(pipe.read.get(), F_DUPFD, 150));
  SpawnPlan plan = plan_for({"ls", "/proc/self/fd"});
  plan.fds = {{pipe.read, 5}, {pipe.write, 9}};
  EXPECT_THAT(lines_of(output_of(plan)),
              ElementsAre("0", "1", "2", "3", "5", "9"));  // 3 is the directory that ls reads
}

TEST(Spawn, DescriptorsArriveWhateverNumbersTheyHadBefore) {
  // Each is planned for a number where another of them stands.
  const std::array<Pipe, 2> pipes{make_pipe(), make_pipe()};
  const std::vector<BorrowedFd> ours{pipes[0].read, pipes[0].write, pipes[1].read, pipes[1].write};
  SpawnPlan plan = plan_for({"sh", "-c", "for n in \"$@\"; do readlink /proc/self/fd/$n; done", "sh"});
  std::vector<std::string> expected;
  for (std::size_t i = 0; i < ours.size(); ++i) {
    const int number = ours[(i + 1) % ours.size()].get();
    plan.fds.emplace_back(ours[i], number);
    plan.command.push_back(std::to_string(number));
    std::array<char, 64> name{};
    (void)!::readlink(("/proc/self/fd/" + std::to_string(ours[i].get())).c_str(), name.data(), name.size() - 1);
    expected.emplace_back(name.data());
  }
  // The same again for numbers where the channels of the call itself may stand.
  for (int number = 20; number < 40; ++number) plan.fds.emplace_back(ours[0], number);
  EXPECT_EQ(lines_of(output_of(plan)), expected);
}

TEST(Spawn, ADescriptorMayKeepItsNumberAndBeGivenTwice) {
  const Pipe pipe = make_pipe();
  SpawnPlan plan = plan_for({"ls", "/proc/self/fd"});
  plan.fds = {{pipe.read, pipe.read.get()}, {pipe.read, 40}, {pipe.read, 41}};
  EXPECT_THAT(lines_of(output_of(plan)),
              testing::IsSupersetOf({std::to_string(pipe.read.get()), std::string("40"), std::string("41")}));
}

TEST(Spawn, RunsInTheDirectoryOfThePlanAndFindsTheProgramThere) {
  const TemporaryDirectory directory;
  write_program(directory / "server", "#!/bin/sh\npwd\n", 0755);
  SpawnPlan plan = plan_for({"./server"});
  plan.working_directory = directory.path();
  EXPECT_EQ(output_of(plan), directory.path() + "\n");
}

TEST(Spawn, LooksThroughThePathOfThePlan) {
  const TemporaryDirectory first;
  const TemporaryDirectory second;
  write_program(first / "server", "not executable", 0644);
  write_program(second / "server", "#!/bin/sh\necho second\n", 0755);
  SpawnPlan plan = plan_for({"server"});
  plan.environment = {{"PATH", "/nowhere:" + first.path() + ":" + second.path()}};
  EXPECT_EQ(output_of(plan), "second\n");
}

TEST(Spawn, ReportsACommandThatIsNowhere) {
  const Error in_path = error_of(plan_for({"no-such-command"}));
  EXPECT_EQ(in_path.doing, "find command no-such-command in PATH");
  EXPECT_EQ(in_path.code, std::errc::no_such_file_or_directory);
  const Error by_name = error_of(plan_for({"./no-such-command"}));
  EXPECT_EQ(by_name.message(), "exec ./no-such-command: No such file or directory");
}

TEST(Spawn, ReportsAProgramThatIsNotExecutable) {
  const TemporaryDirectory directory;
  write_program(directory / "server", "#!/bin/sh\n", 0644);
  const Error by_name = error_of(plan_for({directory / "server"}));
  EXPECT_EQ(by_name.message(), "exec " + (directory / "server") + ": Permission denied");
  SpawnPlan plan = plan_for({"server"});
  plan.environment = {{"PATH", "/nowhere:" + directory.path()}};
  EXPECT_EQ(error_of(plan).message(), "exec " + (directory / "server") + ": Permission denied");
}

TEST(Spawn, ReportsAMissingInterpreter) {
  const TemporaryDirectory directory;
  write_program(directory / "server", "#!/no/such/interpreter\n", 0755);
  const Error error = error_of(plan_for({directory / "server"}));
  EXPECT_EQ(error.doing, "exec " + (directory / "server") + " (its interpreter is missing)");
  EXPECT_EQ(error.code, std::errc::no_such_file_or_directory);
}

TEST(Spawn, ReportsAFileThatIsNoProgram) {
  const TemporaryDirectory directory;
  write_program(directory / "server", "no first line\n", 0755);
  EXPECT_EQ(error_of(plan_for({directory / "server"})).code, std::errc::executable_format_error);
}

TEST(Spawn, ReportsADirectoryThatIsMissing) {
  SpawnPlan plan = plan_for({"true"});
  plan.working_directory = "/nowhere";
  EXPECT_EQ(error_of(plan).message(), "chdir /nowhere: No such file or directory");
}

TEST(Spawn, ReportsADescriptorThatCannotBePassed) {
  const Pipe pipe = make_pipe();
  SpawnPlan plan = plan_for({"true"});
  plan.fds = {{BorrowedFd(-1), 7}};
  EXPECT_EQ(error_of(plan).message(), "pass descriptor 7 to true: Bad file descriptor");
  plan.fds = {{pipe.read, 7}, {pipe.write, 7}};
  EXPECT_EQ(error_of(plan).code, std::errc::invalid_argument);
  plan.fds = {{pipe.read, 1}};
  EXPECT_EQ(error_of(plan).code, std::errc::invalid_argument);
}

TEST(Spawn, RefusesWhatAnExecWouldCutShort) {
  EXPECT_EQ(error_of(plan_for({})).code, std::errc::invalid_argument);
  EXPECT_EQ(error_of(plan_for({""})).code, std::errc::invalid_argument);
  EXPECT_EQ(error_of(plan_for({"echo", std::string("a\0b", 3)})).code, std::errc::invalid_argument);
  EXPECT_EQ(error_of(plan_for({"echo", std::string(kPidMarker.substr(1))})).code, std::errc::invalid_argument);
  EXPECT_EQ(error_of(plan_for({"echo" + std::string(kPidMarker)})).code, std::errc::invalid_argument);
  SpawnPlan plan = plan_for({"true"});
  plan.environment = {{"A=B", "c"}};
  EXPECT_EQ(error_of(plan).code, std::errc::invalid_argument);
}

TEST(Spawn, ReportsThatWeHaveNoDescriptorsLeft) {
  const SpawnPlan plan = plan_for({"true"});
  for (const std::size_t free : {0U, 1U, 2U}) {
    const FewDescriptors few(free);
    const Result<Child> child = spawn(plan);
    ASSERT_FALSE(child);
    EXPECT_EQ(child.error().code, std::errc::too_many_files_open) << free;
    EXPECT_FALSE(has_children());
  }
}

// Run by the next test, in a process whose soft limit is 123.
TEST(Spawn, DISABLED_HasALimitOf123) {
  ASSERT_TRUE(raise_open_file_limit());
  ASSERT_TRUE(raise_open_file_limit());  // a second call remembers nothing
  rlimit now{};
  ::getrlimit(RLIMIT_NOFILE, &now);
  ASSERT_GT(now.rlim_cur, 123U);
  EXPECT_EQ(output_of(plan_for({"sh", "-c", "ulimit -Sn"})), "123\n");
  // A child that has more of ours open than it may have for itself needs a descriptor for its filter all the same.
  std::vector<UniqueFd> many;
  many.reserve(150);
  while (many.size() < many.capacity()) many.emplace_back(::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0));
  EXPECT_EQ(output_of(captured({"sh", "-c", "ulimit -Sn"})), "123\n");
}

TEST(Spawn, ChildrenGetTheLimitOfOpenFilesThatWeStartedWith) {
  SpawnPlan plan = plan_for({"sh", "-c",
                             "ulimit -Sn 123 && exec \"$0\" --gtest_filter=Spawn.DISABLED_HasALimitOf123 "
                             "--gtest_also_run_disabled_tests",
                             "/proc/" + std::to_string(::getpid()) + "/exe"});
  const std::string output = output_of(plan);
  EXPECT_THAT(output, HasSubstr("[  PASSED  ] 1 test")) << output;
}

TEST(Spawn, TheChildIsToldItsProcessId) {
  SpawnPlan plan =
      plan_for({"sh", "-c", "echo $$; echo $A; echo $1; echo $2", "sh", "<" + std::string(kPidMarker) + ">"});
  plan.command.push_back(std::string(kPidMarker) + "-" + std::string(kPidMarker) + std::string(kPidMarker));
  plan.environment.emplace_back("A", "x" + std::string(kPidMarker));
  const std::vector<std::string> lines = lines_of(output_of(plan));
  ASSERT_EQ(lines.size(), 4U);
  const std::string& pid = lines[0];
  EXPECT_THAT(lines, ElementsAre(pid, "x" + pid, "<" + pid + ">", pid + "-" + pid + pid));
}

TEST(Spawn, SocketsStandWhereSystemdPutsThem) {
  const Pipe pipe = make_pipe();
  SpawnPlan plan = plan_for({"sh", "-c",
                             "test $LISTEN_PID = $$ && echo $LISTEN_FDS $LISTEN_FDNAMES; "
                             "for n in 3 4 5 9; do readlink /proc/self/fd/$n; done; env | grep -c LISTEN"});
  plan.environment.emplace_back("LISTEN_PID", "1");  // left by somebody else
  plan.environment.emplace_back("LISTEN_FDS", "7");
  plan.fds = {{pipe.read, 9}};
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  plan.listen_fds = {{pipe.write, "web"}, {socket, ""}};
  const std::vector<std::string> lines = lines_of(output_of(plan));
  ASSERT_EQ(lines.size(), 5U);  // nothing stands at 5
  EXPECT_EQ(lines[0], "2 web:unknown");
  EXPECT_THAT(lines[1], StartsWith("pipe:"));
  EXPECT_THAT(lines[2], StartsWith("socket:"));
  EXPECT_EQ(lines[3], lines[1]);
  EXPECT_EQ(lines[4], "3");
}

TEST(Spawn, RefusesSocketsThatCannotBeToldApart) {
  const Pipe pipe = make_pipe();
  SpawnPlan plan = plan_for({"true"});
  plan.listen_fds = {{pipe.read, "a"}, {pipe.write, "b"}};
  plan.fds = {{pipe.read, 4}};
  EXPECT_EQ(error_of(plan).code, std::errc::invalid_argument);
  plan.fds.clear();
  for (const std::string& name : {std::string("a:b"), std::string("a b"), std::string("\n"), std::string(256, 'x')}) {
    plan.listen_fds[1].name = name;
    EXPECT_EQ(error_of(plan).code, std::errc::invalid_argument) << name;
  }
}

TEST(Spawn, PinsTheChild) {
  cpu_set_t ours;
  ASSERT_EQ(::sched_getaffinity(0, sizeof ours, &ours), 0);
  unsigned last = 0;
  for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &ours)) last = cpu;
  }
  SpawnPlan plan = plan_for({"grep", "Cpus_allowed_list", "/proc/self/status"});
  plan.cpus = {last};
  EXPECT_EQ(output_of(plan), "Cpus_allowed_list:\t" + std::to_string(last) + "\n");
  plan.cpus = {8190, 8191};
  const Error error = error_of(plan);
  EXPECT_THAT(error.doing, StartsWith("pin grep to the CPUs 8190,8191"));
  EXPECT_EQ(error.code, std::errc::invalid_argument);
}

TEST(Spawn, ACapturedChildHasAFilterAndGainsNoPrivileges) {
  EXPECT_EQ(output_of(captured({"grep", "-E", "^(NoNewPrivs|Seccomp):", "/proc/self/status"})),
            "NoNewPrivs:\t1\nSeccomp:\t2\n");
}

TEST(Spawn, TheNotificationsOfACapturedChildEndWithIt) {
  const std::uint64_t before = open_file_count();
  {
    const Result<Child> child = spawn(captured({"sleep", "60"}));
    ASSERT_TRUE(child) << child.error().message();
    ASSERT_TRUE(child->capture);
    EXPECT_NE(::fcntl(child->capture.get(), F_GETFD) & FD_CLOEXEC, 0);
    signal_process(child->pidfd, SIGKILL);
    EXPECT_TRUE(wait_for(child->capture, POLLHUP));
    (void)wait_for_end(*child);
    const Result<Child> other = spawn(plan_for({"true"}));
    ASSERT_TRUE(other);
    EXPECT_FALSE(other->capture);
    (void)wait_for_end(*other);
  }
  EXPECT_EQ(open_file_count(), before);
}

TEST(Spawn, ACapturedChildHoldsNothingButItsPlannedDescriptors) {
  EXPECT_THAT(lines_of(output_of(captured({"ls", "/proc/self/fd"}))), ElementsAre("0", "1", "2", "3"));
}

TEST(Spawn, ACapturedChildThatCannotExecSaysSo) {
  EXPECT_EQ(error_of(captured({"./no-such-command"})).message(), "exec ./no-such-command: No such file or directory");
}

TEST(Spawn, TakesNoCapturedChildWithoutADescriptorLeft) {
  for (const std::size_t free : {1U, 2U, 3U}) {  // with the third, the child runs before its notifications are lost
    const FewDescriptors few(free);
    const Result<Child> child = spawn(captured({"sleep", "60"}));
    ASSERT_FALSE(child) << free;
    EXPECT_EQ(child.error().code, std::errc::too_many_files_open) << child.error().message();
    EXPECT_FALSE(has_children());
  }
}

// Where a container refuses seccomp(2): a filter of this process answers for the kernel.
void refuse_seccomp(int error) {
  std::array<sock_filter, 4> program{
      sock_filter BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      sock_filter BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_seccomp, 0, 1),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      sock_filter BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const sock_fprog filter{program.size(), program.data()};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) std::abort();
  if (::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0) std::abort();
}

// For a child process, which cannot speak through the test's own expectations.
[[noreturn]] void say_error_of(const SpawnPlan& plan) {
  const Result<Child> child = spawn(plan);
  std::cerr << (child ? "started" : child.error().message()) << '\n';
  std::_Exit(0);
}

TEST(SpawnDeathTest, SaysWhatIsMissingWhereTheFilterIsRefused) {
  const auto spawn_without = [](int error) {
    refuse_seccomp(error);
    say_error_of(captured({"true"}));
  };
  for (const int error : {ENOSYS, EPERM, EINVAL}) {
    EXPECT_EXIT(spawn_without(error), testing::ExitedWithCode(0),
                "^intercept the bind of true \\(it needs seccomp user notification.*kernel or container.*"
                "listen-fds and sdk work without\\): " +
                    std::generic_category().message(error));
  }
}

// A supervisor under a supervisor.
TEST(SpawnDeathTest, SaysThatSomebodyElseInterceptsAlready) {
  const auto spawn_captured_itself = [] {
    const Result<std::vector<sock_filter>> program = make_bind_filter();
    std::vector<sock_filter> instructions = *program;
    const sock_fprog filter{static_cast<unsigned short>(instructions.size()), instructions.data()};
    (void)::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &filter) < 0) std::abort();
    say_error_of(captured({"true"}));
  };
  EXPECT_EXIT(spawn_captured_itself(), testing::ExitedWithCode(0),
              "somebody else, a container manager perhaps, intercepts.*busy");
}

TEST(ExitStatus, IsToldInWords) {
  EXPECT_EQ(to_text(ExitStatus{3, 0, false}), "exited with code 3");
  EXPECT_EQ(to_text(ExitStatus{0, SIGSEGV, true}), "killed by signal 11 (SIGSEGV), core written");
  EXPECT_EQ(to_text(ExitStatus{0, 42, false}), "killed by signal 42");
  EXPECT_EQ(signal_name(SIGABRT), "SIGABRT");
  EXPECT_EQ(signal_name(42), "signal 42");
}

TEST(SpawnDeathTest, SignallingEverybodyIsAMistake) { EXPECT_DEATH(signal_group(0, SIGCONT), "process group"); }

}  // namespace
}  // namespace holdfast
