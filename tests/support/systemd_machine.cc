#include "support/systemd_machine.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <sstream>
#include <utility>

#include "support/eventually.h"
#include "test_paths.h"

namespace holdfast::test {

namespace {

constexpr const char* kPrograms = "/run/machine/bin";

std::string unused_name() {
  static std::atomic<unsigned> count{0};
  return "holdfast-test-" + std::to_string(::getpid()) + "-" + std::to_string(count++);
}

std::string path_in_proc(pid_t pid, std::string_view what) {
  return "/proc/" + std::to_string(pid) + "/" + std::string(what);
}

}  // namespace

SystemdMachine::SystemdMachine() : cgroup_(unused_name()), missing_(boot()) {}

SystemdMachine::~SystemdMachine() {
  unshare_.reset();
  if (init_ == 0) return;
  // The kernel ends everybody else with process 1.
  (void)eventually([this] { return !alive(init_); });
  remove_control_groups();
}

std::string SystemdMachine::boot() {
  if (::geteuid() != 0) return "a systemd in namespaces of its own needs root";
  if (::access("/lib/systemd/systemd", X_OK) != 0) return "there is no /lib/systemd/systemd";
  const Ran allowed = test::run({"unshare", "--pid", "--fork", "--mount", "--uts", "--ipc", "--net", "sh", "-c",
                                 "mount -t cgroup2 cgroup2 \"$1\" && mkdir \"$1/$2\" && rmdir \"$1/$2\"", "sh",
                                 directory_.path().string(), cgroup_});
  if (allowed.exit_code != 0) return "namespaces and control groups are not to be had: " + allowed.errors;
  ProcessPlan plan;
  plan.command = {
      "unshare", "--pid",        "--fork", "--mount",      "--uts",
      "--ipc",   "--mount-proc", "--net",  "--kill-child", HOLDFAST_SOURCE "/tests/support/systemd_machine.sh",
      cgroup_,   HOLDFAST_BIN};
  plan.output_file = directory_ / "output";
  plan.error_file = directory_ / "errors";
  unshare_ = std::make_unique<Process>(plan);
  const auto ended = [this] { return !unshare_->running(); };
  const auto booted = [this] {
    if (init_ == 0) {
      const std::vector<pid_t> children = children_of(unshare_->pid());
      if (children.empty() || text_of(path_in_proc(children.front(), "comm")) != "systemd\n") return false;
      init_ = children.front();
    }
    return systemctl({"is-active", "basic.target"}).exit_code == 0;
  };
  const bool up = eventually([&] { return ended() || booted(); }) && !ended();
  if (up) return "";
  ADD_FAILURE() << "systemd does not boot: " << text_of(plan.output_file) << text_of(plan.error_file);
  return "it does not boot";
}

Ran SystemdMachine::run(const std::vector<std::string>& command) const {
  std::vector<std::string> whole = {"nsenter", "--all", "--target", std::to_string(init_), "--wd=/"};
  whole.insert(whole.end(), command.begin(), command.end());
  return test::run(whole, {"SYSTEMD_PAGER=", "SYSTEMD_COLORS=0"});
}

Ran SystemdMachine::systemctl(const std::vector<std::string>& arguments) const {
  std::vector<std::string> command = {"systemctl"};
  command.insert(command.end(), arguments.begin(), arguments.end());
  return run(command);
}

std::string SystemdMachine::inside(std::string_view path) const {
  return path_in_proc(init_, "root" + std::string(path));
}

void SystemdMachine::write(std::string_view path, std::string_view text) const {
  const std::filesystem::path file = inside(path);
  std::filesystem::create_directories(file.parent_path());
  write_text(file, text);
}

void SystemdMachine::add_unit(std::string_view name, std::string_view text) const {
  write("/run/systemd/system/" + std::string(name), text);
  EXPECT_EQ(systemctl({"daemon-reload"}).exit_code, 0);
}

void SystemdMachine::add_packaged_units() const {
  std::string service = text_of(HOLDFAST_SOURCE "/packaging/systemd/holdfast@.service.in");
  for (const auto& [variable, value] : {std::pair<std::string, std::string>{"@CMAKE_INSTALL_FULL_BINDIR@", kPrograms},
                                        {"@CMAKE_INSTALL_FULL_SYSCONFDIR@", "/etc"}}) {
    for (std::size_t at = 0; (at = service.find(variable)) != std::string::npos;) {
      service.replace(at, variable.size(), value);
    }
  }
  write("/run/systemd/system/holdfast@.service", service);
  write("/run/sysusers.d/holdfast.conf", text_of(HOLDFAST_SOURCE "/packaging/systemd/holdfast.sysusers"));
  const Ran users = run({"systemd-sysusers", "/run/sysusers.d/holdfast.conf"});
  EXPECT_EQ(users.exit_code, 0) << users.errors;
  add_unit("holdfast@.socket", text_of(HOLDFAST_SOURCE "/packaging/systemd/holdfast@.socket"));
}

std::string SystemdMachine::property(std::string_view unit, std::string_view name) const {
  std::string text = systemctl({"show", "--value", "--property", std::string(name), std::string(unit)}).output;
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

std::vector<pid_t> SystemdMachine::processes_of(std::string_view unit, std::string_view slice) const {
  std::string group = "/sys/fs/cgroup/" + std::string(slice) + "/" + std::string(unit) + "/cgroup.procs";
  std::istringstream text(text_of(inside(group)));
  std::vector<pid_t> pids;
  for (pid_t pid = 0; text >> pid;) pids.push_back(pid);
  return pids;
}

StatusView SystemdMachine::status(std::string_view control) const {
  return view_of(
      run({std::string(kPrograms) + "/holdfast", "status", "--json", "--control", std::string(control)}).output);
}

std::string SystemdMachine::journal(std::string_view unit) const {
  (void)run({"journalctl", "--sync"});
  return run({"journalctl", "--output", "short-monotonic", "--unit", std::string(unit)}).output;
}

// A group is busy until the last of its processes is gone, which may be a moment after process 1.
void SystemdMachine::remove_control_groups() const {
  Ran removed;
  const auto are_gone = [&] {
    removed = test::run(
        {"unshare", "--mount", "sh", "-c",
         "mount -t cgroup2 cgroup2 \"$1\" && [ ! -e \"$1/$2\" ] || find \"$1/$2\" -depth -type d -exec rmdir {} +",
         "sh", directory_.path().string(), cgroup_});
    return removed.exit_code == 0;
  };
  EXPECT_TRUE(eventually(are_gone)) << removed.errors;
}

SystemdMachine::Network::Network(const SystemdMachine& machine)
    : before_(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC)) {
  const int there = ::open(path_in_proc(machine.init_, "ns/net").c_str(), O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(::setns(there, CLONE_NEWNET), 0);
  ::close(there);
}

SystemdMachine::Network::~Network() {
  EXPECT_EQ(::setns(before_, CLONE_NEWNET), 0);
  ::close(before_);
}

}  // namespace holdfast::test
