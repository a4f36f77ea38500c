#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "component/run_until.h"
#include "core/node_command.h"
#include "core/node_relay.h"
#include "core/node_servers.h"
#include "loop/fd_watcher.h"
#include "loop/loop.h"
#include "support/supervisor.h"
#include "sys/environment.h"
#include "sys/sockets.h"
#include "wire/node_codec.h"
#include "worker/node_inbox.h"
#include "worker/worker_process.h"

namespace holdfast {

// Real Node.js workers behind real listeners, with no more than what is needed around their inboxes: connections go by
// the address that they come from, a worker is started when the test says so, and what the adapters say is passed on.
class NodeStation {
 public:
  struct Plan {
    std::vector<std::string> script;  // under tests/interop/node, and its arguments
    unsigned workers = 2;
    NodeSession::Policy policy = {};
    std::vector<std::string> listen = {"127.0.0.1:0"};
    NodeSerialization serialization = NodeSerialization::Json;
  };
  struct Worker {
    std::unique_ptr<NodeInbox> inbox;
    std::unique_ptr<WorkerProcess> process;
    std::optional<ExitStatus> ended;
    bool ready = false;
    bool accepts = true;
    bool leaves = false;
    int came_back = 0;
    std::vector<std::string> heard;
    std::vector<std::string> garbage;
    std::string output;

    [[nodiscard]] bool wrote(const std::string& text) const { return output.find(text) != std::string::npos; }
  };

  // Why nothing can be run here; empty: it can.
  [[nodiscard]] static std::string missing(bool packages = false) {
    if (std::system("node --version >/dev/null 2>&1") != 0) return "there is no node here";
    if (packages && !std::filesystem::exists(test::source_file("tests/interop/node/node_modules/.installed"))) {
      return "tests/interop/node/install has not been run";
    }
    return "";
  }

  explicit NodeStation(Plan plan) : plan_(std::move(plan)), servers_({}) {
    std::vector<NodeServers::Offered> offered;
    for (const std::string& text : plan_.listen) {
      Result<ListeningSocket> socket = listen_on(*parse_listen_address(text), 512);
      EXPECT_TRUE(socket) << (socket ? "" : socket.error().message());
      offered.push_back({socket->bound});
      listeners_.push_back(*std::move(socket));
    }
    servers_ = NodeServers(std::move(offered));
    workers_.resize(plan_.workers);
    for (unsigned i = 0; i < plan_.workers; i++) workers_[i].inbox = make_inbox(workers_[i], i);
    for (std::size_t i = 0; i < listeners_.size(); i++) {
      watchers_.push_back(
          std::make_unique<FdWatcher>(loop, listeners_[i].fd, [this, i](FdWatcher::Ready) { accept(i); }));
      watchers_.back()->watch(FdWatcher::Interest::Readable);
    }
  }
  ~NodeStation() {
    for (Worker& worker : workers_) {
      if (worker.process && !worker.ended) worker.process->signal(SIGKILL);
    }
    (void)run_until(loop, [&] {
      return std::all_of(workers_.begin(), workers_.end(), [](const Worker& w) { return !w.process || w.ended; });
    });
  }
  NodeStation(const NodeStation&) = delete;
  NodeStation& operator=(const NodeStation&) = delete;

  void start(unsigned index) {
    Worker& worker = workers_[index];
    worker.ended.reset();
    worker.ready = worker.leaves = false;
    worker.accepts = true;
    Result<UniqueFd> end = worker.inbox->open_channel();
    ASSERT_TRUE(end);
    SpawnPlan plan;
    plan.command = {"node", test::source_file("tests/interop/node/" + plan_.script.front())};
    plan.command.insert(plan.command.end(), plan_.script.begin() + 1, plan_.script.end());
    plan.environment = inherited_environment();
    const WorkerId id{++last_worker_};
    for (auto& variable : node_environment(plan_.policy.dialect, id, SlotId{index}, plan_.serialization))
      plan.environment.push_back(variable);
    plan.fds = {{*end, kNodeChannelFd}};
    ids_.resize(workers_.size());
    ids_[index] = id;
    WorkerProcess::Hooks hooks;
    hooks.on_line = [&worker](OutputStream, std::string_view line) { worker.output += line; };
    hooks.on_exit = [this, &worker, id](const ExitStatus& status) {
      worker.ended = status;
      worker.inbox->settle();
      for (const NodeAdapterGone& gone : relay_.on_gone(id)) {
        for (Worker& other : workers_) {
          if (&other != &worker) (void)other.inbox->say(gone);
        }
      }
    };
    Result<std::unique_ptr<WorkerProcess>> process =
        WorkerProcess::start(loop, std::move(plan), "node", SlotId{index}, std::move(hooks));
    ASSERT_TRUE(process) << process.error().message();
    worker.process = *std::move(process);
  }
  void start_all() {
    for (unsigned i = 0; i < workers_.size(); i++) start(i);
    ASSERT_TRUE(run([&] {
      return std::all_of(workers_.begin(), workers_.end(), [](const Worker& w) { return w.ready; });
    })) << said();
  }

  // Runs the loop until it is so. The limit is long: many Node.js start at a time, under sanitizers.
  template <class IsSo>
  [[nodiscard]] bool run(IsSo is_so) {
    return run_until(loop, is_so) || run_until(loop, is_so);
  }
  // Runs something that waits for answers, in a thread beside the loop.
  template <class Work>
  auto beside(Work work) {
    auto answer = std::async(std::launch::async, std::move(work));
    EXPECT_TRUE(run([&] { return answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready; })) << said();
    return answer.get();
  }
  [[nodiscard]] std::optional<test::Response> get(const std::string& path, const std::string& source = "127.0.0.1",
                                                  std::size_t listener = 0) {
    return beside([&] { return test::get_once(target(listener), path, source); });
  }

  [[nodiscard]] Worker& worker(unsigned index) { return workers_[index]; }
  [[nodiscard]] unsigned worker_of(const std::string& source) const {
    return IpAddress::parse(source)->word(0) % static_cast<unsigned>(workers_.size());
  }
  [[nodiscard]] std::string address(std::size_t listener = 0) const { return to_text(listeners_[listener].bound); }
  [[nodiscard]] test::Endpoint target(std::size_t listener = 0) const { return test::endpoint(address(listener)); }
  [[nodiscard]] std::uint64_t accepted() const { return last_connection_; }
  [[nodiscard]] std::uint64_t taken() const {
    std::uint64_t sum = 0;
    for (const Worker& worker : workers_) sum += worker.inbox->account().taken;
    return sum;
  }
  [[nodiscard]] std::uint64_t waiting() const {
    std::uint64_t sum = 0;
    for (const Worker& worker : workers_) sum += worker.inbox->waiting();
    return sum;
  }
  // For the messages of failed checks.
  [[nodiscard]] std::string said() const {
    std::string all = refused_;
    for (const Worker& worker : workers_) {
      all += worker.output;
      for (const std::string& garbage : worker.garbage) all += "garbage: " + garbage + "\n";
    }
    return all;
  }
  [[nodiscard]] const std::string& refused() const { return refused_; }  // why servers were

  Loop loop;

 private:
  std::unique_ptr<NodeInbox> make_inbox(Worker& worker, unsigned index) {
    NodeInbox::Hooks hooks;
    hooks.on_query = [this](NodeInbox&, const NodeQuery& query) {
      const NodeServers::Answer answer = servers_.answer(query.server, query.data);
      if (const auto* refused = std::get_if<NodeServers::Refused>(&answer)) refused_ += refused->why + "\n";
      return answer;
    };
    hooks.on_ready = [&worker](NodeInbox&) { worker.ready = true; };
    hooks.on_accepting = [&worker](NodeInbox&, bool accepts) { worker.accepts = accepts; };
    hooks.on_leaves = [&worker](NodeInbox&, const std::string&) { worker.leaves = true; };
    hooks.on_came_back = [&worker](NodeInbox&) { worker.came_back++; };
    hooks.on_garbage = [&worker](NodeInbox&, const Error& error) { worker.garbage.push_back(error.message()); };
    hooks.on_room = [] {};
    hooks.on_heard = [this, &worker, index](NodeInbox&, const NodeSession::Heard& heard) {
      if (const auto* text = std::get_if<NodeText>(&heard.message)) worker.heard.push_back(text->payload);
      if (const auto* message = std::get_if<NodeAdapterMessage>(&heard.message)) pass_on(index, *message);
    };
    return std::make_unique<NodeInbox>(loop, plan_.policy, plan_.serialization, std::move(hooks));
  }

  void pass_on(unsigned from, const NodeAdapterMessage& message) {
    for (const WorkerId target : relay_.route(ids_[from], message, ids_)) {
      const auto index = std::find(ids_.begin(), ids_.end(), target) - ids_.begin();
      (void)workers_[static_cast<std::size_t>(index)].inbox->say(NodeSay{message.payload});
    }
  }

  void accept(std::size_t listener) {
    for (;;) {
      Result<std::variant<AcceptedConnection, AcceptStop>> answer = accept_connection(listeners_[listener].fd);
      ASSERT_TRUE(answer);
      auto* accepted = std::get_if<AcceptedConnection>(&*answer);
      if (accepted == nullptr) return;
      ConnectionRecord record{};
      record.id = ++last_connection_;
      record.listener = static_cast<std::uint16_t>(listener);
      NodeInbox& inbox = *workers_[accepted->remote.address.word(0) % workers_.size()].inbox;
      inbox.put(Connection{std::move(accepted->fd), record});
      (void)inbox.flush();
    }
  }

  Plan plan_;
  NodeServers servers_;
  NodeRelay relay_;
  std::vector<ListeningSocket> listeners_;
  std::vector<Worker> workers_;
  std::vector<WorkerId> ids_;
  std::uint32_t last_worker_ = 0;
  std::uint64_t last_connection_ = 0;
  std::string refused_;
  std::vector<std::unique_ptr<FdWatcher>> watchers_;
};

}  // namespace holdfast
