#include "launch.h"

#include <fmt/format.h>
#include <holdfast/bus_channel.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <map>
#include <string_view>
#include <utility>

#include "core/node_command.h"
#include "core/worker_template.h"
#include "sys/environment.h"
#include "sys/socket_facts.h"

namespace holdfast {

namespace {

constexpr int kFirstFd = 3;  // after the standard ones

// ',', '=' and '%' would end a name or an address too early.
std::string escape(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    if (c == ',' || c == '=' || c == '%') {
      escaped += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    } else {
      escaped += c;
    }
  }
  return escaped;
}

std::string text_of(const std::vector<std::unique_ptr<Listener>>& listeners) {
  std::string text;
  for (const std::unique_ptr<Listener>& listener : listeners) {
    if (!text.empty()) text += ',';
    text += escape(listener->name()) + "=" + (listener->stays() ? escape(to_text(listener->address())) : "-");
  }
  return text;
}

template <class Unit>
std::string count_of(Duration duration) {
  return std::to_string(std::chrono::duration_cast<Unit>(duration).count());
}

// Datagrams have no other way to a worker than its own socket.
bool is_given(const Steerer::GivenSocket& socket, const Settlement::Offer& offer) {
  return offer.sockets || socket.transport == Transport::Datagram;
}

// Gives `fd` the next number in the child, and answers it.
std::string give(SpawnPlan& plan, BorrowedFd fd) {
  const int number = kFirstFd + static_cast<int>(plan.listen_fds.size() + plan.fds.size());
  plan.fds.emplace_back(fd, number);
  return std::to_string(number);
}

std::string give_sockets(SpawnPlan& plan, const Launch& launch) {
  std::string numbers;
  for (const std::unique_ptr<Listener>& listener : launch.listeners) {
    const auto socket = std::find_if(launch.sockets.begin(), launch.sockets.end(), [&](const auto& given) {
      return given.listener == listener->id() && is_given(given, launch.offer);
    });
    if (!numbers.empty()) numbers += ',';
    numbers += socket == launch.sockets.end() ? "-" : give(plan, socket->fd);
  }
  return numbers;
}

// PM2 may have started us, and its names stand in our environment.
void give_node_channel(SpawnPlan& plan, const PoolConfig& pool, const Launch& launch) {
  for (auto& [name, value] : node_environment(pool.node.dialect, launch.worker, launch.slot, pool.node.serialization)) {
    std::erase_if(plan.environment, [&name = name](const auto& variable) { return variable.first == name; });
    plan.environment.emplace_back(name, std::move(value));
  }
  plan.fds.emplace_back(*launch.node_channel, kNodeChannelFd);
}

// What all programs of a slot have in common.
void describe_program(SpawnPlan& plan, const PoolConfig& pool, const std::vector<std::string>& command, SlotId slot,
                      unsigned slots) {
  const WorkerIdentity identity{slot, slots, pool.name,
                                plan.cpus.empty() ? std::nullopt : std::optional(plan.cpus.front())};
  for (const std::string& argument : command) plan.command.push_back(expand_worker_template(argument, identity));
  plan.working_directory = pool.working_directory;
  plan.umask = pool.umask;
  plan.nice = pool.nice;
  plan.limits = pool.limits;
  std::map<std::string, std::string> chosen;
  for (const auto& [name, text] : pool.environment) chosen[name] = expand_worker_template(text, identity);
  plan.environment = inherited_environment(chosen);
  plan.environment.emplace_back(HF_ENV_SLOT, std::to_string(slot.value));
  plan.environment.emplace_back(HF_ENV_SLOTS, std::to_string(slots));
  plan.environment.emplace_back(HF_ENV_POOL, pool.name);
}

}  // namespace

SpawnPlan plan_launch(const PoolConfig& pool, const Launch& launch) {
  SpawnPlan plan;
  if (!pool.cpus.empty()) plan.cpus = cpus_of_slot(pool.cpus, launch.slot, launch.slots);
  describe_program(plan, pool, pool.command, launch.slot, launch.slots);
  plan.credentials = launch.credentials;
  const auto set = [&](const char* name, std::string value) { plan.environment.emplace_back(name, std::move(value)); };

  set(HF_ENV_GENERATION, std::to_string(launch.generation.value));
  set(HF_ENV_LISTENERS, text_of(launch.listeners));
  const Duration heartbeat = pool.fleet.heartbeat_timeout;
  if (!launch.notify_address.empty()) {
    set("NOTIFY_SOCKET", launch.notify_address);
    if (heartbeat > Duration::zero()) set("WATCHDOG_USEC", count_of<std::chrono::microseconds>(heartbeat));
  }
  if (launch.offer.listen_fds) {
    for (const Steerer::GivenSocket& socket : launch.sockets) plan.listen_fds.push_back({socket.fd, socket.name});
  }
  if (launch.node_channel) give_node_channel(plan, pool, launch);
  if (launch.offer.channel) {
    const auto& inbox = static_cast<const Inbox&>(launch.inbox);
    set(HF_ENV_CHANNEL, give(plan, inbox.worker_end()));
    set(HF_ENV_PAGE, give(plan, inbox.page_fd()));
    if (launch.bus) set(HF_ENV_BUS, give(plan, *launch.bus));
    set(HF_ENV_HEARTBEAT, count_of<std::chrono::milliseconds>(heartbeat));
  }
  const bool sockets = std::any_of(launch.sockets.begin(), launch.sockets.end(),
                                   [&](const auto& given) { return is_given(given, launch.offer); });
  if (launch.offer.channel && sockets) set(HF_ENV_SOCKETS, give_sockets(plan, launch));
  plan.capture = launch.offer.capture;
  // A worker of the SDK sees the end of its channel, and drains; the others would stay behind, and hold the port.
  const bool sees_our_end = launch.offer.channel && !launch.offer.listen_fds && !launch.offer.capture;
  if (!sees_our_end && !launch.survives_us) plan.death_signal = SIGTERM;
  return plan;
}

SpawnPlan plan_clean_up(const PoolConfig& pool, SlotId slot, unsigned slots) {
  SpawnPlan plan;
  describe_program(plan, pool, pool.clean_up, slot, slots);
  plan.death_signal = SIGKILL;
  return plan;
}

Outcome check_account(const PoolConfig& pool) {
  if (pool.user.empty() && pool.group.empty()) return Done{};
  const Result<Credentials> credentials = credentials_of(pool.user, pool.group);
  if (!credentials) return Error{credentials.error().code, "pool " + pool.name + ": " + credentials.error().doing};
  return check_may_become(*credentials, pool.user.empty() ? "group " + pool.group : "user " + pool.user);
}

Outcome set_socket_modes(const Launch& launch) {
  for (const Steerer::GivenSocket& socket : launch.sockets) {
    if (!launch.offer.listen_fds || (launch.offer.channel && is_given(socket, launch.offer))) continue;
    if (Outcome set = set_non_blocking(socket.fd, false); !set) return set;
  }
  return Done{};
}

}  // namespace holdfast
