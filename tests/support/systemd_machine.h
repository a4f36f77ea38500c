#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "support/process.h"
#include "support/status_view.h"
#include "support/temp_directory.h"

namespace holdfast::test {

// A real systemd, booted in namespaces of its own: processes, mounts, network, control groups. The built programs are in
// /run/machine/bin; /etc, /run, /tmp and /var are its own, so nothing outside changes. It ends with the object, and with the
// test. Root only.
class SystemdMachine {
 public:
  SystemdMachine();
  ~SystemdMachine();
  SystemdMachine(const SystemdMachine&) = delete;
  SystemdMachine& operator=(const SystemdMachine&) = delete;

  // Why there is none; empty: it stands.
  [[nodiscard]] const std::string& missing() const { return missing_; }

  // Runs a command inside and waits for its end.
  [[nodiscard]] Ran run(const std::vector<std::string>& command) const;
  [[nodiscard]] Ran systemctl(const std::vector<std::string>& arguments) const;
  // Writes a file by its path inside; its directory is made.
  void write(std::string_view path, std::string_view text) const;
  // Writes a unit of this name and makes it known.
  void add_unit(std::string_view name, std::string_view text) const;
  // The units of packaging/systemd, for the programs in /run/machine/bin, and their user.
  void add_packaged_units() const;

  // A property of a unit ("MainPID", "NFileDescriptorStore", ...) as systemctl shows it.
  [[nodiscard]] std::string property(std::string_view unit, std::string_view name) const;
  // The processes of a service in the slice system.slice (or `slice`), by the numbers that they have outside.
  [[nodiscard]] std::vector<pid_t> processes_of(std::string_view unit, std::string_view slice = "system.slice") const;
  // What `status --json` says over a control socket, by its path inside; an empty view if there is no answer.
  [[nodiscard]] StatusView status(std::string_view control) const;
  // What the journal has of a unit.
  [[nodiscard]] std::string journal(std::string_view unit) const;

  // The calling thread, and the threads that it starts, use the machine's network as long as this lives.
  class Network {
   public:
    explicit Network(const SystemdMachine& machine);
    ~Network();
    Network(const Network&) = delete;
    Network& operator=(const Network&) = delete;

   private:
    int before_;
  };

 private:
  [[nodiscard]] std::string boot();
  [[nodiscard]] std::string inside(std::string_view path) const;  // a path inside, as it is reached from outside
  void remove_control_groups() const;

  TempDirectory directory_;
  std::string cgroup_;
  std::unique_ptr<Process> unshare_;
  pid_t init_ = 0;
  std::string missing_;  // booting comes last
};

}  // namespace holdfast::test
