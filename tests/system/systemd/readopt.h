#pragma once

#include <gmock/gmock.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "support/load_loop.h"
#include "support/systemd_test.h"

namespace holdfast::test {

// How a test that is made for several kinds of workers says of which.
struct WorkerKind {
  std::string name;  // of the case
  std::string lines;
  std::string command = R"("/run/machine/bin/whoami")";
  friend void PrintTo(const WorkerKind& kind, std::ostream* out) { *out << kind.name; }
};
// Node.js workers: a server of `cluster`, or one that is given its connections by the message of a dialect.
inline WorkerKind node_workers(const std::string& dialect) {
  return {"Node" + dialect.substr(0, dialect.find('-')), "node-dialect = \"" + dialect + "\"\n",
          R"("node", "/etc/holdfast/app.js", ")" + dialect + '"'};
}

// A service of the packaged unit, whose workers systemd keeps when the supervisor is killed.
class Readopt : public SystemdTest {
 protected:
  static constexpr const char* kService = "holdfast@web.service";
  static constexpr const char* kSlice = "system.slice/system-holdfast.slice";
  static constexpr const char* kControlOfService = "/run/holdfast-web/control.sock";
  static constexpr unsigned kWorkers = 3;

  void SetUp() override {
    SystemdTest::SetUp();
    if (IsSkipped()) return;
    machine_.add_packaged_units();
    units_.emplace_back(kService);
  }

  void start(const WorkerKind& kind) {
    if (kind.command.find("node") != std::string::npos) write_node_program();
    if (!IsSkipped()) start(kind.lines, kind.command);
  }
  // One that answers with its pid, and keeps connections for as long as its clients do. /say says a MiB to the others;
  // /block hears and does nothing until there is a file /etc/holdfast/go.
  void write_node_program() {
    if (test::run({"node", "--version"}).exit_code != 0) GTEST_SKIP() << "there is no node here";
    machine_.write("/etc/holdfast/app.js", R"(
const fs = require('node:fs');
const server = require('node:http').createServer((request, response) => {
  const body = JSON.stringify({ pid: process.pid, slot: Number(process.env.NODE_APP_INSTANCE) });
  response.setHeader('Content-Length', Buffer.byteLength(body));
  if (request.url === '/block') {
    console.log('blocked');
    while (!fs.existsSync('/etc/holdfast/go')) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }
  if (request.url === '/say') return process.send('x'.repeat(1 << 20), () => response.end(body));
  response.end(body);
});
server.keepAliveTimeout = 0;
if (process.argv[2] === 'cluster') {
  server.listen(3000);
} else {
  process.on('message', (message, socket) => { if (socket) server.emit('connection', socket); });
  process.send('ready');
}
)");
  }
  // One pool, whose workers are of `command` and as `lines` say.
  void start(const std::string& lines, const std::string& command = R"("/run/machine/bin/whoami")") {
    write_config("[listeners.main]\naddress = \"127.0.0.1:8080\"\n[pools.main]\nworkers = " + std::to_string(kWorkers) +
                 "\ncommand = [" + command + "]\n" + lines);
    start_service();
  }
  void write_config(const std::string& text) const { machine_.write("/etc/holdfast/web.toml", text); }
  void start_service() {
    systemctl({"start", kService});
    EXPECT_TRUE(eventually([&] { return every_pool_serves(); })) << status().json;
  }

  [[nodiscard]] StatusView status() const { return machine_.status(kControlOfService); }
  // An empty object if there is no answer.
  [[nodiscard]] nlohmann::json json() const {
    const std::string text = status().json;
    return text.empty() ? nlohmann::json::object() : nlohmann::json::parse(text);
  }
  // A StatusView has the slots of the first pool alone.
  [[nodiscard]] bool every_pool_serves() const {
    const nlohmann::json pools = json().value("pools", nlohmann::json::array());
    return !pools.empty() && std::all_of(pools.begin(), pools.end(), [](const nlohmann::json& pool) {
      return std::all_of(pool["slots"].begin(), pool["slots"].end(),
                         [](const nlohmann::json& slot) { return slot["state"] == "serving"; });
    });
  }
  [[nodiscard]] std::vector<pid_t> pids_of(const std::string& pool) const {
    std::vector<pid_t> pids;
    for (const nlohmann::json& each : json().value("pools", nlohmann::json::array())) {
      if (each["name"] != pool) continue;
      for (const nlohmann::json& slot : each["slots"]) {
        if (slot["pid"].is_number() && slot["state"] == "serving") pids.push_back(slot["pid"].get<pid_t>());
      }
    }
    return pids;
  }
  [[nodiscard]] std::vector<pid_t> processes() const { return machine_.processes_of(kService, kSlice); }
  [[nodiscard]] std::string property(std::string_view name) const { return machine_.property(kService, name); }

  void tell(std::vector<std::string> words) const {
    words.insert(words.begin(), "/run/machine/bin/holdfast");
    words.insert(words.end(), {"--control", kControlOfService});
    const Ran ran = machine_.run(words);
    EXPECT_EQ(ran.exit_code, 0) << ran.errors;
  }
  void send(int signal, pid_t process) const { send(signal, std::to_string(process)); }
  void send(int signal, const std::string& process) const {
    EXPECT_EQ(machine_.run({"kill", "-" + std::to_string(signal), process}).exit_code, 0);
  }
  // Kills the supervisor, right after a command of the shell, and waits until the next one answers.
  void kill_supervisor(const std::string& command = ":") {
    const std::string before = property("MainPID");
    const Ran ran = machine_.run({"sh", "-c", command + "; kill -9 " + before});
    EXPECT_EQ(ran.exit_code, 0) << ran.errors;
    ASSERT_TRUE(eventually([&] {
      const std::string now = property("MainPID");
      return now != before && now != "0" && std::to_string(status().pid) == now;
    }));
  }

  const Endpoint target_ = endpoint("127.0.0.1:8080");
};

}  // namespace holdfast::test
